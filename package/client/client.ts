import { CountersignError } from './failure.ts';
import { createPageTransport } from './page-transport.ts';
import { holdJwt } from './jwt.ts';
import { exportEvents, exportLines } from './export.ts';
import type {
  AuditQuery,
  CountQuery,
  CreateToken,
  ExportQuery,
  InventoryQuery,
  InWorkspace,
  LogNumber,
  OrderReinstatement,
  OrderRevocation,
  Paging,
  Reading,
  ReceiptQuery,
  ResumeLog,
  RotateToken,
  SubjectQuery,
  TokenEventsQuery,
  UpdateToken,
} from './requests.ts';
import {
  type CallOptions,
  type ClientOptions,
  createTransport,
  type Envelope,
  type Fetch,
  type Request,
  type Runtime,
  type Transport,
} from './transport.ts';
import type {
  AuditCounts,
  AuditEvent,
  CreatedToken,
  Delivery,
  InventoryPage,
  InventoryToken,
  Page,
  Readiness,
  ResumedLog,
  RevokedToken,
  RotatedToken,
  Status,
  Subject,
  Token,
  TokenList,
  TrailLogs,
  WholeDelivery,
  Whoami,
  Workspace,
} from './types.ts';

/** The API of a Countersign service. Each call throws a `CountersignError` where it fails. */
export type Client = ReturnType<typeof clientOf>;

export interface CreateOptions extends CallOptions {
  /**
   * Makes a repeat of this create or order safe for an hour. Default: a random UUID, which serves the retries of this call. Null: none, and
   * then it is repeated only where the service says that nothing was done.
   */
  readonly idempotencyKey?: string | null;
}

/** A rotation needs a key: without one a repeat could not tell its own success from that of another. */
export interface RotateOptions extends CallOptions {
  /** Gives the same token again until the old one is retired, and for an hour at least. Default: a random UUID. */
  readonly idempotencyKey?: string;
}

/**
 * Creates a client of a service. It sends nothing yet.
 *
 * @throws TypeError if a JWT would not be safe on its way to `url`.
 */
export const createClient = (options: ClientOptions): Client => createClientWith(options, RUNTIME);

const RUNTIME: Runtime = {
  now: () => Date.now(),
  sleep: async (ms, signal) =>
    await new Promise<void>((resolve, reject) => {
      const abort = (): void => reject(new Error('aborted'));
      if (signal.aborted) abort();
      signal.addEventListener('abort', abort, { once: true });
      setTimeout(() => {
        signal.removeEventListener('abort', abort);
        resolve();
      }, ms);
    }),
};

const TOKENS = '/api/v1/service-account-tokens';
const EVENTS = '/api/v1/audit/events';
const EXPORT = '/api/v1/audit/export';
const LOG = '/api/v1/audit/log';
const DELIVERIES = '/api/v1/webhooks/deliveries';
const REVOCATIONS = '/api/v1/revocations';

const logAt = ({ log }: LogNumber): string => (log === undefined ? '/api/v1/audit' : `/api/v1/audit/logs/${log}`);
const at = (base: string, id: string, rest = ''): string => `${base}/${encodeURIComponent(id)}${rest}`;

/** A client on a clock of its own. */
export const createClientWith = (options: ClientOptions, runtime: Runtime): Client =>
  clientOf(createTransport(options, holdJwt(options.jwt, runtime.now), runtime));

/** The client of a page that the service itself serves: see `createPageTransport`. */
export const createPageClient = (origin: string, send: Fetch): Client => clientOf(createPageTransport(origin, send));

function clientOf(transport: Transport) {
  const json = async (request: Request, given?: CallOptions): Promise<Envelope> => await transport.json(request, given);

  const get = async (path: string, query: object, given?: CallOptions): Promise<Envelope> =>
    await json({ method: 'GET', path, query }, given);
  const readToken = async (path: string, { fresh, ...query }: Reading, given?: CallOptions): Promise<Envelope> =>
    await json({ method: 'GET', path, query, isFresh: fresh === true }, given);
  const keyed = async (path: string, body: object, { idempotencyKey, ...given }: CreateOptions): Promise<Envelope> => {
    const key = idempotencyKey === undefined ? crypto.randomUUID() : idempotencyKey;
    return await json({ method: 'POST', path, body, idempotencyKey: key }, given);
  };
  const text = async (path: string, query: object, given?: CallOptions): Promise<string> =>
    new TextDecoder().decode(await transport.bytes({ method: 'GET', path, query }, given));
  const askExport = (query: ExportQuery, given?: CallOptions) => async (cursor: string | null) =>
    bodyOf(
      transport.origin,
      await transport.stream(
        { method: 'GET', path: EXPORT, query: { ...query, ...(cursor !== null && { cursor }), format: 'ndjson' } },
        given,
      ),
    );

  const audit = {
    /** A page of the trail. */
    events: async (query: AuditQuery = {}, given?: CallOptions): Promise<Page<AuditEvent>> =>
      pageOf(await get(EVENTS, query, given)),
    /** All events that match, page by page. */
    eachEvent: (query: AuditQuery = {}, given?: CallOptions): AsyncGenerator<AuditEvent, void, undefined> =>
      eachOf(async (cursor) => await audit.events({ ...query, ...cursor }, given)),
    event: async (id: string, given?: CallOptions): Promise<AuditEvent> => dataOf(await get(at(EVENTS, id), {}, given)),
    /** How many events match, by one of their fields: at most 200 keys, the most frequent first; days and hours the newest first. */
    counts: async (query: CountQuery, given?: CallOptions): Promise<AuditCounts> => {
      const body = await get('/api/v1/audit/counts', query, given);
      return { counts: dataOf(body), partial: body['partial'] === true };
    },
    /** The transparency logs over the trail, and what they do not cover yet. */
    logs: async (given?: CallOptions): Promise<TrailLogs> => dataOf(await get('/api/v1/audit/log', {}, given)),
    /** The last published checkpoint of a log, with its cosignatures: a signed note. Default: of the current log. */
    checkpoint: async (log: LogNumber = {}, given?: CallOptions): Promise<string> =>
      await text(`${logAt(log)}/checkpoint`, {}, given),
    /** A file of a log, such as `tile/0/000` or `tile/entries/x001/067.p/3`. Default: of the current log. */
    tile: async (path: string, log: LogNumber = {}, given?: CallOptions): Promise<Uint8Array> =>
      await transport.bytes({ method: 'GET', path: `${logAt(log)}/${path}` }, given),
    /**
     * A proof that the log holds a fact of an event, which anyone checks with the verifier key of the log alone. It throws `not_sealed`
     * where the event is too new.
     */
    receipt: async (id: string, query: ReceiptQuery = {}, given?: CallOptions): Promise<string> =>
      await text(at(EVENTS, id, '/receipt'), query, given),
    /**
     * Every event that matches and can no longer change, oldest first, however many answers that takes. It throws
     * `client_export_cut` where the export is not whole.
     */
    export: (query: ExportQuery = {}, given?: CallOptions): AsyncGenerator<AuditEvent, void, undefined> =>
      exportEvents(askExport(query, given)),
    /** The same, as lines of JSON that are not parsed. */
    exportLines: (query: ExportQuery = {}, given?: CallOptions): AsyncGenerator<string, void, undefined> =>
      exportLines(askExport(query, given)),
    /** Begins a new log of the trail, where the current one is stopped or its key is lost. */
    resumeLog: async (given: ResumeLog, options?: CallOptions): Promise<ResumedLog> =>
      dataOf(await json({ method: 'POST', path: LOG, body: given, idempotencyKey: null }, options)),
    /** One answer of an export, as the service writes it. Its last line, or its `Content-Length`, says whether it is whole. */
    exportResponse: async (
      query: ExportQuery & { readonly format?: 'ndjson' | 'csv' } = {},
      given?: CallOptions,
    ): Promise<Response> => await transport.stream({ method: 'GET', path: EXPORT, query }, given),
  };

  const tokens = {
    /** Mints a token. Its secret is in the answer, and nowhere else afterwards. */
    create: async (token: CreateToken, given: CreateOptions = {}): Promise<CreatedToken> =>
      dataOf(await keyed(TOKENS, token, given)),
    list: async (query: Reading = {}, given?: CallOptions): Promise<TokenList> => {
      const body = await readToken(TOKENS, query, given);
      return { ...dataOf<Omit<TokenList, 'partial'>>(body), partial: body['partial'] === true };
    },
    get: async (id: string, query: Reading = {}, given?: CallOptions): Promise<Token> =>
      dataOf<{ token: Token }>(await readToken(at(TOKENS, id), query, given)).token,
    update: async (id: string, changes: UpdateToken, given?: CallOptions): Promise<Token> =>
      dataOf<{ token: Token }>(await json({ method: 'PATCH', path: at(TOKENS, id), body: changes }, given)).token,
    /**
     * Mints a token that takes the place of one of the caller's own, which is revoked when the overlap is over. The secret is in the
     * answer, and nowhere else afterwards.
     */
    rotate: async (id: string, rotation: RotateToken = {}, given: RotateOptions = {}): Promise<RotatedToken> =>
      dataOf(await keyed(at(TOKENS, id, '/rotate'), rotation, given)),
    revoke: async (id: string, query: InWorkspace = {}, given?: CallOptions): Promise<RevokedToken> =>
      dataOf(await json({ method: 'DELETE', path: at(TOKENS, id), query }, given)),
    /** A page of the events of one token, for whoever may read the token. */
    events: async (id: string, query: TokenEventsQuery = {}, given?: CallOptions): Promise<Page<AuditEvent>> =>
      pageOf(await get(at(TOKENS, id, '/events'), query, given)),
    eachEvent: (
      id: string,
      query: TokenEventsQuery = {},
      given?: CallOptions,
    ): AsyncGenerator<AuditEvent, void, undefined> =>
      eachOf(async (cursor) => await tokens.events(id, { ...query, ...cursor }, given)),
  };

  const inventory = {
    /** A page of the tokens that this service knows, with how old its knowledge of PipeOps is. PipeOps is not asked. */
    list: async (query: InventoryQuery = {}, given?: CallOptions): Promise<InventoryPage> => {
      const body = await get('/api/v1/inventory', query, given);
      return {
        ...pageOf<InventoryToken>(body),
        knowledge: dataOf<InventoryPage['knowledge'] | undefined>(body, 'knowledge') ?? [],
      };
    },
    /** All pages, one after another. */
    pages: (query: InventoryQuery = {}, given?: CallOptions): AsyncGenerator<InventoryPage, void, undefined> =>
      pagesOf(async (cursor) => await inventory.list({ ...query, ...cursor }, given)),
    each: (query: InventoryQuery = {}, given?: CallOptions): AsyncGenerator<InventoryToken, void, undefined> =>
      eachOf(async (cursor) => await inventory.list({ ...query, ...cursor }, given)),
  };

  const subjects = {
    /** A page of owners of tokens, and of those who are blocked. */
    list: async (query: SubjectQuery = {}, given?: CallOptions): Promise<Page<Subject>> =>
      pageOf(await get('/api/v1/subjects', query, given)),
    each: (query: SubjectQuery = {}, given?: CallOptions): AsyncGenerator<Subject, void, undefined> =>
      eachOf(async (cursor) => await subjects.list({ ...query, ...cursor }, given)),
  };

  const deliveries = {
    /** A page of the deliveries of webhooks, newest first. */
    list: async (query: Paging = {}, given?: CallOptions): Promise<Page<Delivery>> =>
      pageOf(await get(DELIVERIES, query, given)),
    each: (query: Paging = {}, given?: CallOptions): AsyncGenerator<Delivery, void, undefined> =>
      eachOf(async (cursor) => await deliveries.list({ ...query, ...cursor }, given)),
    get: async (id: string, given?: CallOptions): Promise<WholeDelivery> =>
      dataOf(await get(at(DELIVERIES, id), {}, given)),
    /** Tries again what is left of a delivery. */
    retry: async (id: string, given?: CallOptions): Promise<{ readonly retried: number }> =>
      dataOf(await json({ method: 'POST', path: at(DELIVERIES, id, '/retry') }, given)),
  };

  return {
    /** Where the requests go. */
    origin: transport.origin,
    tokens,
    inventory,
    audit,
    subjects,
    revocations: {
      /** Orders revocations. The answer is a receipt: `get` tells how far they are. */
      create: async (order: OrderRevocation, given: CreateOptions = {}): Promise<WholeDelivery> =>
        dataOf(await keyed(REVOCATIONS, order, given)),
      get: async (id: string, given?: CallOptions): Promise<WholeDelivery> =>
        dataOf(await get(at(REVOCATIONS, id), {}, given)),
    },
    reinstatements: {
      /** Lifts the block of somebody. */
      create: async (order: OrderReinstatement, given: CreateOptions = {}): Promise<WholeDelivery> =>
        dataOf(await keyed('/api/v1/reinstatements', order, given)),
    },
    deliveries,
    whoami: async (given?: CallOptions): Promise<Whoami> => dataOf(await get('/api/v1/whoami', {}, given)),
    workspaces: async (given?: CallOptions): Promise<readonly Workspace[]> =>
      dataOf<{ workspaces: readonly Workspace[] }>(await get('/workspace', {}, given)).workspaces,
    status: async (given?: CallOptions): Promise<Status> => dataOf(await get('/api/v1/status', {}, given)),
    /** Whether the process runs. No JWT is sent. */
    health: async (given?: CallOptions): Promise<{ readonly healthy: true }> =>
      dataOf(await json({ method: 'GET', path: '/healthz', isPublic: true }, given)),
    /** Whether the service can do its work: it throws `not_ready` where it cannot. No JWT is sent. */
    readiness: async (given?: CallOptions): Promise<Readiness> =>
      dataOf(await json({ method: 'GET', path: '/readyz', isPublic: true }, { retries: 0, ...given })),
  };
}

/** What an answer holds. Its type is what the contract says: it is not checked here, so that a newer service may say more. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters, typescript/no-unsafe-type-assertion -- the contract is the guard
const dataOf = <Data>(body: Envelope, name = 'data'): Data => body[name] as Data;

function pageOf<Item>(body: Envelope): Page<Item> {
  const { next_cursor: nextCursor = null, has_more: hasMore = nextCursor !== null } = (body['pagination'] ?? {}) as {
    next_cursor?: string | null;
    has_more?: boolean;
  };
  return { items: dataOf(body), nextCursor, hasMore, partial: body['partial'] === true };
}

/** All pages. It ends at the last one, and where a cursor stands still. */
async function* pagesOf<OnePage extends Page<unknown>>(
  read: (at: { readonly cursor?: string }) => Promise<OnePage>,
): AsyncGenerator<OnePage, void, undefined> {
  let cursor: string | null = null;
  for (;;) {
    const page: OnePage = await read(cursor === null ? {} : { cursor });
    yield page;
    const { nextCursor, hasMore } = page;
    if (!hasMore || nextCursor === null || nextCursor === cursor) return;
    cursor = nextCursor;
  }
}

/** The items of all pages. */
async function* eachOf<Item>(
  read: (at: { readonly cursor?: string }) => Promise<Page<Item>>,
): AsyncGenerator<Item, void, undefined> {
  for await (const { items } of pagesOf(read)) yield* items;
}

function bodyOf(origin: string, { body, status, headers }: Response): ReadableStream<Uint8Array> {
  if (body !== null) return body;
  const message = `${origin} does not answer as Countersign does (${status}, an empty answer).`;
  throw new CountersignError({
    code: 'client_unexpected_answer',
    message,
    status,
    contentType: headers.get('Content-Type'),
  });
}
