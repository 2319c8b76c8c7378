import * as z from 'zod';
import type { Adapter, AdapterDependencies, AdapterKind } from './sender.ts';
import { github } from './github.ts';
import { standard } from './standard.ts';

/** Every kind of sender: a further one is a file, and a line here. */
const KINDS = { standard, github } as const;

type Fields = (typeof KINDS)[keyof typeof KINDS]['fields'];
type KindFields = z.output<Fields>;

/** An entry of `webhooks`, checked. */
export type Source = KindFields & { /** The last part of its path, `/webhooks/{name}`. */ readonly name: string };
/** The same as the operator writes it. */
export type SourceInput = z.input<Fields>;

/** One entry of `webhooks`, of whatever kind. */
export const sourceSchema = z.discriminatedUnion(
  'kind',
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- mapping over a record gives a list of at least one
  Object.values(KINDS).map(({ fields }) => fields) as unknown as [Fields, ...Fields[]],
  { error: `has no known kind; there are: ${Object.keys(KINDS).join(', ')}` },
);

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the kind of a source is the kind of its fields
const kindOf = ({ kind }: KindFields) => KINDS[kind] as unknown as AdapterKind<z.ZodObject>;

/** The names of the Worker secrets that a source needs. */
export const secretsOf = (source: KindFields): readonly string[] => kindOf(source).secrets(source);

/** What is wrong with the value of one of them; null: nothing. */
export const secretProblem = (source: KindFields, value: string): string | null => kindOf(source).secretProblem(value);

/** The adapter of a source. */
export const createAdapter = (source: KindFields, dependencies: AdapterDependencies): Adapter =>
  kindOf(source).create(source, dependencies);
