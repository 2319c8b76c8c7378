import * as z from 'zod';

const Manifest = z.record(z.string(), z.object({ hash: z.string(), size: z.number() }));
type Manifest = z.infer<typeof Manifest>;

/** The static files of a simulated account: an upload session names them by their hashes, and uploads those that are not there yet. */
export class Assets {
  readonly #contents = new Map<string, Buffer>();
  readonly #manifests = new Map<string, Manifest>();

  /** Begins a session. Where nothing is missing, its JWT is that of a finished one. */
  begin(body: unknown): { readonly jwt: string; readonly buckets: readonly (readonly string[])[] } {
    const { manifest } = z.object({ manifest: Manifest }).parse(body);
    const missing = new Set(Object.values(manifest).flatMap(({ hash }) => (this.#contents.has(hash) ? [] : [hash])));
    const payload = Buffer.from(JSON.stringify({ session: this.#manifests.size })).toString('base64url');
    const jwt = `e30.${payload}.signature`;
    this.#manifests.set(jwt, manifest);
    return { jwt, buckets: missing.size === 0 ? [] : [[...missing]] };
  }

  /** Whether a JWT is that of a session. */
  knows(jwt: string): boolean {
    return this.#manifests.has(jwt);
  }

  /** Takes files in base64, each under its hash. */
  async take(form: FormData): Promise<void> {
    for (const [hash, part] of form) {
      const text = typeof part === 'string' ? part : await part.text();
      this.#contents.set(hash, Buffer.from(text, 'base64'));
    }
  }

  /** The files of a session by their paths; null if one was not uploaded. */
  filesOf(jwt: string): ReadonlyMap<string, Buffer> | null {
    const files = new Map<string, Buffer>();
    for (const [file, { hash }] of Object.entries(this.#manifests.get(jwt) ?? {})) {
      const content = this.#contents.get(hash);
      if (content === undefined) return null;
      files.set(file, content);
    }
    return files;
  }
}
