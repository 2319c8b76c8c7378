import { convertV4MiniflareOptions, Miniflare } from 'miniflare';
import { unstable_splitSqlQuery } from 'wrangler';

/** How many databases an account can have. They are declared before workerd starts, so that making one needs no restart. */
const DATABASES_MAX = 3;

/** A Worker in the options that `convertV4MiniflareOptions` takes. */
export type RunnableWorker = Extract<
  Parameters<typeof convertV4MiniflareOptions>[0],
  { workers: unknown[] }
>['workers'][number];

export interface SimulatedDatabase {
  readonly uuid: string;
  readonly name: string;
}

/** The D1 databases of a simulated account, in workerd. The Worker that runs beside them is bound to them. */
export class Databases {
  readonly list: SimulatedDatabase[] = [];
  #running: Miniflare | null = null;
  #worker: RunnableWorker | null = null;

  /** Makes a database; null if the name is taken or the account is full. */
  create(name: string): SimulatedDatabase | null {
    if (this.list.length >= DATABASES_MAX || this.list.some((database) => database.name === name)) return null;
    const database = { uuid: uuidOf(this.list.length), name };
    this.list.push(database);
    return database;
  }

  /** The database of a uuid or a name, as Cloudflare takes either. */
  find(uuidOrName: string): SimulatedDatabase | null {
    return this.list.find(({ uuid, name }) => uuid === uuidOrName || name === uuidOrName) ?? null;
  }

  /** Runs the statements of a text as one batch, as D1's HTTP API does. */
  async query({ uuid }: SimulatedDatabase, sql: string): Promise<readonly unknown[]> {
    const database = await (await this.#start()).getD1Database(uuid, 'databases');
    const statements = unstable_splitSqlQuery(sql).map((statement) => database.prepare(statement));
    return await database.batch(statements);
  }

  /** Replaces the Worker that answers `fetch`. */
  async run(worker: RunnableWorker): Promise<void> {
    this.#worker = worker;
    if (this.#running !== null) await this.#running.setOptions(this.#options());
  }

  /** Asks the Worker. */
  async fetch(url: string): Promise<{ readonly status: number; readonly body: string }> {
    const worker = await (await this.#start()).getWorker('deployed');
    const answer = await worker.fetch(url);
    return { status: answer.status, body: await answer.text() };
  }

  async stop(): Promise<void> {
    await this.#running?.dispose();
    this.#running = null;
  }

  async #start(): Promise<Miniflare> {
    this.#running ??= new Miniflare(this.#options());
    await this.#running.ready;
    return this.#running;
  }

  #options(): ConstructorParameters<typeof Miniflare>[0] {
    const uuids = Array.from({ length: DATABASES_MAX }, (_, index) => uuidOf(index));
    const databases: RunnableWorker = {
      name: 'databases',
      modules: true,
      script: 'export default {}',
      d1Databases: Object.fromEntries(uuids.map((uuid) => [uuid, uuid])),
    };
    const workers = this.#worker === null ? [databases] : [databases, { ...this.#worker, name: 'deployed' }];
    return convertV4MiniflareOptions({
      cf: false,
      telemetry: { enabled: false },
      handleStructuredLogs: () => {},
      workers,
    });
  }
}

const uuidOf = (index: number): string => `d1000000-0000-4000-8000-00000000000${index}`;
