/** What this checkout uses of `oidc-provider`, which has no types of its own. Its documents describe each of these. */
declare module 'oidc-provider' {
  import type { IncomingMessage, ServerResponse } from 'node:http';

  interface Session {
    readonly accountId?: string;
    destroy(): Promise<void>;
  }

  interface Context {
    status: number;
    type: string;
    body: unknown;
    redirect(url: string): void;
    readonly cookies: { set(name: string, value: null, options: object): void };
    /** Absent where no route of the provider was met. */
    readonly oidc?: {
      readonly route: string;
      readonly provider: Provider;
      readonly params: Readonly<Record<string, string | undefined>>;
      readonly session: Session;
      readonly client: { readonly clientId: string };
    };
  }

  interface Grant {
    addOIDCScope(scope: string): void;
    save(): Promise<string>;
  }

  export class Provider {
    constructor(issuer: string, configuration: object);
    readonly Grant: new (of: { readonly accountId: string; readonly clientId: string }) => Grant;
    callback(): (request: IncomingMessage, response: ServerResponse) => Promise<void>;
    cookieName(kind: 'session'): string;
    use(middleware: (context: Context, next: () => Promise<void>) => Promise<void>): this;
    /** Rejects with an error named `SessionNotFound` where no sign-in is under way. */
    interactionDetails(request: IncomingMessage, response: ServerResponse): Promise<{ readonly uid: string }>;
    interactionFinished(request: IncomingMessage, response: ServerResponse, result: object): Promise<void>;
  }
}

declare module 'oidc-provider/lib/adapters/memory_adapter.js' {
  /** @param clockTolerance seconds for which what has expired is kept. */
  export function createMemoryAdapter(clockTolerance: number): new (model: string) => object;
}
