import { randomUUID } from 'node:crypto';
import * as z from 'zod';
import type { Assets } from './assets.ts';
import type { Databases, RunnableWorker } from './databases.ts';

const Binding = z.looseObject({
  type: z.string(),
  name: z.string(),
  text: z.string().optional(),
  json: z.json().optional(),
  id: z.string().optional(),
  bucket_name: z.string().optional(),
  namespace_id: z.string().optional(),
  simple: z.object({ limit: z.number(), period: z.literal([10, 60]) }).optional(),
});

/** The part `metadata` of an upload. */
export const Metadata = z.looseObject({
  main_module: z.string(),
  compatibility_date: z.string().optional(),
  compatibility_flags: z.array(z.string()).default([]),
  bindings: z.array(Binding).default([]),
  keep_bindings: z.array(z.string()).default([]),
  annotations: z.record(z.string(), z.string()).default({}),
  assets: z
    .object({
      jwt: z.string(),
      config: z.looseObject({ _headers: z.string(), run_worker_first: z.array(z.string()) }),
    })
    .optional(),
});
export type Metadata = z.infer<typeof Metadata>;

export interface Version {
  readonly id: string;
  readonly number: number;
  readonly metadata: Metadata;
  /** The text of each module, by its name. */
  readonly modules: ReadonlyMap<string, string>;
  readonly secrets: ReadonlyMap<string, string>;
}

/** A Worker of a simulated account: its versions, which of them is deployed, and its triggers. */
export class DeployedWorker {
  readonly name: string;
  readonly versions: Version[] = [];
  /** The ids of the versions that were deployed, the last one first. */
  readonly deployments: string[] = [];
  schedules: string[] = [];
  /** Whether it is reached under workers.dev. */
  published = false;

  constructor(name: string) {
    this.name = name;
  }

  get current(): Version | undefined {
    return this.versions.find(({ id }) => id === this.deployments[0]);
  }

  get secrets(): ReadonlyMap<string, string> {
    return this.versions.at(-1)?.secrets ?? new Map();
  }

  upload(metadata: Metadata, modules: ReadonlyMap<string, string>): Version {
    const kept = metadata.keep_bindings.includes('secret_text') ? this.secrets : new Map<string, string>();
    const before = this.versions.at(-1)?.metadata.bindings ?? [];
    const bindings = metadata.bindings
      .map((binding) => (binding.type === 'inherit' ? before.find(({ name }) => name === binding.name) : binding))
      .filter((binding) => binding !== undefined);
    return this.#add({ ...metadata, bindings }, modules, new Map([...kept, ...secretsIn(metadata)]));
  }

  /** Changes secrets. As at Cloudflare, that makes a version, which is deployed at once and has no tag. */
  patchSecrets(changes: ReadonlyMap<string, string | null>): void {
    const last = this.versions.at(-1);
    if (last === undefined) throw new Error(`Worker ${this.name} has no version.`);
    const secrets = new Map(
      [...last.secrets, ...changes].filter((entry): entry is [string, string] => entry[1] !== null),
    );
    const { annotations: _annotations, ...metadata } = last.metadata;
    this.deploy(this.#add({ ...metadata, annotations: {} }, last.modules, secrets).id);
  }

  deploy(versionId: string): void {
    this.deployments.unshift(versionId);
  }

  /** The bindings as Cloudflare lists them: of a secret only its name. */
  bindings(): readonly unknown[] {
    const { metadata, secrets } = this.versions.at(-1) ?? { metadata: null, secrets: new Map<string, string>() };
    const plain = metadata?.bindings.filter(({ type }) => type !== 'secret_text') ?? [];
    return [...plain, ...[...secrets.keys()].map((name) => ({ type: 'secret_text', name }))];
  }

  #add(metadata: Metadata, modules: ReadonlyMap<string, string>, secrets: ReadonlyMap<string, string>): Version {
    const version = { id: randomUUID(), number: this.versions.length + 1, metadata, modules, secrets };
    this.versions.push(version);
    return version;
  }
}

const secretsIn = ({ bindings }: Metadata): [string, string][] =>
  bindings.flatMap(({ type, name, text }) => (type === 'secret_text' && text !== undefined ? [[name, text]] : []));

/** What Cloudflare says of a binding that it cannot make; null if it can make them all. */
export function bindingProblem(
  { bindings }: Metadata,
  databases: Databases,
  buckets: ReadonlySet<string>,
): string | null {
  const d1 = bindings.find(({ type, id }) => type === 'd1' && databases.find(id ?? '') === null);
  const r2 = bindings.find(({ type, bucket_name: name = '' }) => type === 'r2_bucket' && !buckets.has(name));
  if (r2 !== undefined) return `R2 bucket '${r2.bucket_name}' not found. Please use a different name and try again.`;
  return d1 === undefined ? null : `binding ${d1.name} of type d1 must have a valid \`id\` specified`;
}

/** What Cloudflare says of static files that were not all uploaded; null if they were. */
export const assetsProblem = (metadata: Metadata, assets: Assets): string | null =>
  metadata.assets !== undefined && assets.filesOf(metadata.assets.jwt) === null
    ? 'the assets of this version were not all uploaded'
    : null;

/** The version as miniflare runs it. */
export function runnable({ metadata, modules, secrets }: Version): RunnableWorker {
  const { bindings, main_module: main } = metadata;
  const named = <T>(type: string, value: (binding: z.infer<typeof Binding>) => T): Record<string, T> =>
    Object.fromEntries(bindings.filter((binding) => binding.type === type).map((b) => [b.name, value(b)]));
  return {
    compatibilityDate: metadata.compatibility_date ?? '2026-10-01',
    compatibilityFlags: metadata.compatibility_flags,
    modulesRoot: '/',
    modules: [...modules]
      .toSorted(([a], [b]) => Number(b === main) - Number(a === main))
      .map(([name, contents]) => ({ type: 'ESModule' as const, path: `/${name}`, contents })),
    bindings: {
      ...named('plain_text', ({ text }) => text ?? ''),
      ...named('json', ({ json }) => json ?? null),
      ...Object.fromEntries(secrets),
    },
    d1Databases: named('d1', ({ id }) => id ?? ''),
    r2Buckets: named('r2_bucket', ({ bucket_name: bucket = '' }) => bucket),
    ratelimits: named('ratelimit', ({ namespace_id = '', simple = { limit: 1, period: 60 } }) => ({
      namespace_id,
      simple,
    })),
  };
}
