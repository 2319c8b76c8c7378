import * as z from 'zod';
import { dictionary, secretName, trustedUrl, workspaceList } from './fields.ts';
import { readPem } from '../kit/pem.ts';
import { WEBHOOK_EVENTS } from '../vocabulary.ts';

/**
 * The schema of an entry of `webhooks`: the fields of its kind, and those that every source needs. The latter are required, since a
 * source may do nothing that it is not given.
 */
const sourceFields = <Shape extends z.core.$ZodShape>(shape: Shape) =>
  z.strictObject({
    ...shape,
    /** The events that it may send. Any other is recorded and does nothing. */
    events: z.array(z.enum(WEBHOOK_EVENTS)).min(1, { error: 'is empty: such a source may say nothing' }),
    /** The workspaces in which its orders count: UUIDs, or `['*']` for all. */
    workspaces: workspaceList,
  });

/** The fields of Standard Webhooks (standardwebhooks.com). */
const standardFields = sourceFields({
  kind: z.literal('standard'),
  /** The names of the Worker secrets that hold its keys, `whsec_…`. There is more than one while they are being rotated. */
  secrets: z.array(secretName).min(1, { error: 'is empty: nobody could sign' }),
});

const publicKey = z.strictObject({
  key_identifier: z.string().min(1),
  key: z.string().refine((pem) => readPem(pem) !== null, {
    error: 'is no public key of the curve P-256 in PEM: -----BEGIN PUBLIC KEY----- and so on',
  }),
});

/** The fields of GitHub's secret scanning partner protocol. */
const githubFields = sourceFields({
  kind: z.literal('github'),
  /** The URL of its public keys: GitHub's, or those of whoever relays its messages. */
  keysUrl: trustedUrl.optional(),
  /** The name of a Worker secret to read them with. Without one GitHub allows an address 60 requests an hour. */
  keysToken: secretName.optional(),
  /** The public keys, in place of `keysUrl`. */
  keys: z.array(publicKey).min(1).optional(),
})
  .refine(({ keysUrl, keys }) => (keysUrl === undefined) !== (keys === undefined), {
    path: ['keysUrl'],
    error: 'is needed, or `keys` in its place, and not both',
    params: { example: "keysUrl: 'https://api.github.com/meta/public_keys/secret_scanning'" },
  })
  .refine(({ keysUrl, keysToken }) => keysToken === undefined || keysUrl !== undefined, {
    path: ['keysToken'],
    error: 'is of no use without `keysUrl`',
  });

/** What an entry holds, by its kind. `revocation/dependencies.ts` has an adapter for each. */
const KIND_FIELDS = [standardFields, githubFields] as const;

/** One entry of `webhooks`, of any kind. */
const sourceSchema = z.discriminatedUnion('kind', KIND_FIELDS, {
  error: `has no known kind; there are: ${KIND_FIELDS.map(({ shape }) => shape.kind.value).join(', ')}`,
});

/** An entry of `webhooks`, checked. */
export type Source = z.output<typeof sourceSchema> & {
  /** The last part of its path, `/webhooks/{name}`. */
  readonly name: string;
};
export type SourceOf<Kind extends Source['kind']> = Extract<Source, { readonly kind: Kind }>;
/** An entry of `webhooks` as the operator writes it. */
export type SourceInput = z.input<typeof sourceSchema>;

/**
 * The name of a source, which is the last part of its path. It starts with a letter: JavaScript moves keys that look like
 * numbers to the front.
 */
const sourceName = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,39}$/, { error: 'is not a name: a small letter, then up to 39 of them, digits or -' });

/** A source of events about subjects is for all workspaces: whoever speaks for one must not lock a leaver out of the others. */
const source = sourceSchema.refine(
  ({ events, workspaces }) => workspaces.includes('*') || !events.some((event) => event.startsWith('subject.')),
  {
    path: ['workspaces'],
    error: 'is narrower than its events: those about subjects count everywhere',
    params: { example: "workspaces: ['*'], or a source of its own for the events about subjects" },
  },
);

/** `webhooks`: an object, read as a list in file order. */
export const webhooksSchema = dictionary(sourceName, source).transform((sources) =>
  Object.entries(sources).map(([name, entry]): Source => ({ ...entry, name })),
);
