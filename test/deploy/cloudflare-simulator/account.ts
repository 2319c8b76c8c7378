import { isObject, parseJson } from '../../../src/kit/json.ts';
import { Assets } from './assets.ts';
import { Databases } from './databases.ts';
import { assetsProblem, bindingProblem, DeployedWorker, Metadata, runnable } from './workers.ts';

export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly contentType?: string;
}

export interface ApiRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: Buffer;
  readonly contentType: string;
  readonly authorization: string;
}

type Handler = (request: ApiRequest, ...parts: string[]) => Answer | Promise<Answer>;

const ok = (result: unknown, more: object = {}): Answer => ({
  status: 200,
  body: JSON.stringify({ success: true, errors: [], messages: [], result, ...more }),
});

/** A failure in Cloudflare's envelope. */
export const failed = (status: number, code: number, message: string): Answer => ({
  status,
  body: JSON.stringify({ success: false, errors: [{ code, message }], messages: [], result: null }),
});

const NO_R2 = failed(403, 10_042, 'Please enable R2 through the Cloudflare Dashboard.');
const NO_WORKER = failed(404, 10_007, 'This Worker does not exist on your account.');

/**
 * One simulated Cloudflare account behind the API that wrangler uses: D1 on workerd, Workers with versions, deployments, secrets and
 * schedules. Paths, codes and shapes are those that wrangler 4.149 sends and reads.
 */
export class Account {
  readonly id = 'a0000000000000000000000000000001';
  readonly token = 'simulated-cloudflare-api-token';
  readonly databases = new Databases();
  readonly assets = new Assets();
  readonly workers = new Map<string, DeployedWorker>();
  /** The names of its R2 buckets. */
  readonly buckets = new Set<string>();
  /** Whether somebody has switched R2 on. */
  hasR2 = true;
  /** The bookmark of D1 Time Travel at which every database stands. */
  readonly bookmark = '00000085-0000024c-00004c6d-8e61117bf38d7adb71b934ebbf891683';
  /** The accounts that the token reaches. */
  accounts = [{ id: this.id, name: 'Acme' }];
  /** Null until the account has a workers.dev subdomain. */
  subdomain: string | null = 'acme';

  /** Answers a request to the API. */
  async answer(request: ApiRequest): Promise<Answer> {
    const isUpload = request.path === `/accounts/${this.id}/workers/assets/upload`;
    if (isUpload && this.assets.knows(request.authorization.slice('Bearer '.length)))
      return await this.#takeAssets(request);
    if (request.authorization !== `Bearer ${this.token}`) return failed(401, 10_000, 'Authentication error');
    for (const [method, pattern, handler] of this.#routes) {
      const parts = request.method === method ? pattern.exec(request.path.replace(`/accounts/${this.id}`, '')) : null;
      if (parts !== null) return await handler(request, ...parts.slice(1).map(decodeURIComponent));
    }
    return failed(404, 7003, `The simulator has no ${request.method} ${request.path}`);
  }

  /** Asks a Worker, as a browser would under workers.dev. */
  async visit(path: string): Promise<Answer> {
    const [name = '', ...rest] = path.split('/');
    const worker = this.workers.get(name);
    if (worker?.current === undefined || !worker.published) return { status: 404, body: 'There is nothing here yet' };
    const { status, body } = await this.databases.fetch(
      `https://${name}.${this.subdomain}.workers.dev/${rest.join('/')}`,
    );
    return { status, body };
  }

  async stop(): Promise<void> {
    await this.databases.stop();
  }

  /** A Worker that the test expects to be there. */
  worker(name: string): DeployedWorker {
    const worker = this.workers.get(name);
    if (worker === undefined)
      throw new Error(`There is no Worker ${name}, only ${[...this.workers.keys()].join(', ')}`);
    return worker;
  }

  readonly #routes: readonly (readonly [string, RegExp, Handler])[] = [
    ['GET', /^\/user$/, () => ok({ id: 'u1', email: 'stranger@example.com' })],
    ['GET', /^\/user\/tokens\/verify$/, () => ok({ id: 't1', status: 'active' })],
    ['GET', /^(?:\/accounts)$/, () => ok(this.accounts)],
    ['GET', /^\/memberships$/, () => ok(this.accounts.map((account) => ({ id: `m-${account.id}`, account })))],

    [
      'GET',
      /^\/d1\/database$/,
      ({ query }) => ok(this.databases.list.slice((Number(query.get('page') ?? 1) - 1) * 10)),
    ],
    ['GET', /^\/d1\/database\/([^/]+)\/time_travel\/bookmark$/, () => ok({ bookmark: this.bookmark })],
    ['POST', /^\/d1\/database$/, ({ body }) => this.#createDatabase(body)],
    ['GET', /^\/d1\/database\/([^/]+)$/, (_, id) => this.#database(id)],
    ['POST', /^\/d1\/database\/([^/]+)\/query$/, async ({ body }, id) => await this.#query(id, body)],

    [
      'GET',
      /^\/r2\/buckets$/,
      () => (this.hasR2 ? ok({ buckets: [...this.buckets].map((name) => ({ name })) }) : NO_R2),
    ],
    ['POST', /^\/r2\/buckets$/, ({ body }) => this.#createBucket(body)],
    ['GET', /^\/r2\/buckets\/([^/]+)$/, (_, name) => this.#bucket(name)],

    ['GET', /^\/workers\/services\/([^/]+)$/, (_, name) => this.#with(name, 10_090, (worker) => ok(serviceOf(worker)))],
    [
      'GET',
      /^\/workers\/workers\/([^/]+)$/,
      (_, name) => this.#with(name, 10_007, ({ published }) => ok({ subdomain: { enabled: published } })),
    ],
    ['GET', /^\/workers\/subdomain$/, () => this.#subdomain()],
    [
      'GET',
      /^\/workers\/scripts\/([^/]+)\/settings$/,
      (_, name) => this.#with(name, 10_007, (worker) => ok({ bindings: worker.bindings() })),
    ],
    ['PATCH', /^\/workers\/scripts\/([^/]+)\/script-settings$/, (_, name) => this.#with(name, 10_007, () => ok({}))],
    [
      'GET',
      /^\/workers\/scripts\/([^/]+)\/secrets$/,
      (_, name) =>
        this.#with(name, 10_007, (worker) =>
          ok([...worker.secrets.keys()].map((key) => ({ name: key, type: 'secret_text' }))),
        ),
    ],
    [
      'PATCH',
      /^\/workers\/scripts\/([^/]+)\/secrets-bulk$/,
      async ({ body }, name) => await this.#patchSecrets(name, body),
    ],
    ['POST', /^\/workers\/scripts\/([^/]+)\/assets-upload-session$/, ({ body }) => ok(this.assets.begin(jsonOf(body)))],
    ['PUT', /^\/workers\/scripts\/([^/]+)$/, async (request, name) => await this.#put(request, name)],
    ['POST', /^\/workers\/scripts\/([^/]+)\/versions$/, async (request, name) => await this.#upload(request, name)],
    ['GET', /^\/workers\/scripts\/([^/]+)\/versions\/([^/]+)$/, (_, name, id) => this.#version(name, id)],
    [
      'GET',
      /^\/workers\/scripts\/([^/]+)\/versions$/,
      (_, name) => this.#with(name, 10_007, ({ versions }) => ok({ items: versions.map(asVersion) })),
    ],
    ['POST', /^\/workers\/scripts\/([^/]+)\/deployments$/, async ({ body }, name) => await this.#deploy(name, body)],
    [
      'GET',
      /^\/workers\/scripts\/([^/]+)\/deployments$/,
      (_, name) => this.#with(name, 10_007, (worker) => ok({ deployments: worker.deployments.map(asDeployment) })),
    ],
    [
      'GET',
      /^\/workers\/scripts\/([^/]+)\/subdomain$/,
      (_, name) => this.#with(name, 10_007, ({ published }) => ok({ enabled: published, previews_enabled: false })),
    ],
    ['POST', /^\/workers\/scripts\/([^/]+)\/subdomain$/, ({ body }, name) => this.#publish(name, body)],
    [
      'GET',
      /^\/workers\/scripts\/([^/]+)\/schedules$/,
      (_, name) => this.#with(name, 10_007, ({ schedules }) => ok({ schedules: schedules.map((cron) => ({ cron })) })),
    ],
    ['PUT', /^\/workers\/scripts\/([^/]+)\/schedules$/, ({ body }, name) => this.#schedule(name, body)],
  ];

  #with(name: string | undefined, code: number, answer: (worker: DeployedWorker) => Answer): Answer {
    const worker = this.workers.get(name ?? '');
    return worker === undefined ? failed(404, code, 'This Worker does not exist on your account.') : answer(worker);
  }

  async #takeAssets({ body, contentType, authorization }: ApiRequest): Promise<Answer> {
    await this.assets.take(await formOf(body, contentType));
    return { ...ok({ jwt: authorization.slice('Bearer '.length) }), status: 201 };
  }

  #createDatabase(body: Buffer): Answer {
    const { name } = jsonOf(body) as { name: string };
    const database = this.databases.create(name);
    return database === null ? failed(400, 7502, `A database with the name "${name}" already exists`) : ok(database);
  }

  #createBucket(body: Buffer): Answer {
    if (!this.hasR2) return NO_R2;
    const { name } = jsonOf(body) as { name: string };
    if (this.buckets.has(name))
      return failed(409, 10_004, 'The bucket you tried to create already exists, and you own it.');
    this.buckets.add(name);
    return ok({ name });
  }

  #bucket(name = ''): Answer {
    if (!this.hasR2) return NO_R2;
    return this.buckets.has(name) ? ok({ name }) : failed(404, 10_006, 'The specified bucket does not exist.');
  }

  #database(id: string | undefined): Answer {
    const database = this.databases.find(id ?? '');
    return database === null ? failed(404, 7404, `The database ${id} could not be found`) : ok(database);
  }

  async #query(id: string | undefined, body: Buffer): Promise<Answer> {
    const database = this.databases.list.find(({ uuid }) => uuid === id);
    if (database === undefined) return failed(404, 7404, `The database ${id} could not be found`);
    try {
      return ok(await this.databases.query(database, (jsonOf(body) as { sql: string }).sql));
    } catch (error) {
      return failed(400, 7500, error instanceof Error ? error.message.replace(/^D1_ERROR: /, '') : String(error));
    }
  }

  #subdomain(): Answer {
    return this.subdomain === null
      ? failed(404, 10_007, 'You do not have a workers.dev subdomain')
      : ok({ subdomain: this.subdomain });
  }

  async #patchSecrets(name: string | undefined, body: Buffer): Promise<Answer> {
    const worker = this.workers.get(name ?? '');
    if (worker === undefined) return NO_WORKER;
    const { secrets } = jsonOf(body) as { secrets: Record<string, { text: string } | null> };
    worker.patchSecrets(new Map(Object.entries(secrets).map(([key, value]) => [key, value?.text ?? null])));
    await this.#rerun(worker);
    return ok([...worker.secrets.keys()].map((key) => ({ name: key, type: 'secret_text' })));
  }

  /** Makes the Worker if need be; its version is deployed at once. */
  async #put(request: ApiRequest, name = ''): Promise<Answer> {
    const { metadata, modules } = await readUpload(request);
    const problem = bindingProblem(metadata, this.databases, this.buckets) ?? assetsProblem(metadata, this.assets);
    if (problem !== null) return failed(400, 10_021, problem);
    const worker = this.workers.get(name) ?? new DeployedWorker(name);
    this.workers.set(name, worker);
    const version = worker.upload(metadata, modules);
    worker.deploy(version.id);
    await this.#rerun(worker);
    return ok({
      id: name,
      tag: 'f00',
      deployment_id: version.id,
      startup_time_ms: 1,
      entry_point: metadata.main_module,
    });
  }

  async #upload(request: ApiRequest, name: string | undefined): Promise<Answer> {
    const worker = this.workers.get(name ?? '');
    if (worker === undefined) return NO_WORKER;
    const { metadata, modules } = await readUpload(request);
    const problem = bindingProblem(metadata, this.databases, this.buckets) ?? assetsProblem(metadata, this.assets);
    if (problem !== null) return failed(400, 10_021, problem);
    return ok(asVersion(worker.upload(metadata, modules)));
  }

  async #deploy(name: string | undefined, body: Buffer): Promise<Answer> {
    const worker = this.workers.get(name ?? '');
    if (worker === undefined) return NO_WORKER;
    const { versions } = jsonOf(body) as { versions: { version_id: string }[] };
    worker.deploy(versions[0]?.version_id ?? '');
    await this.#rerun(worker);
    return ok(asDeployment(worker.deployments[0] ?? ''));
  }

  #version(name: string | undefined, id: string | undefined): Answer {
    const version = this.workers.get(name ?? '')?.versions.find((one) => one.id === id);
    return version === undefined ? failed(404, 10_007, 'This version does not exist.') : ok(asVersion(version));
  }

  #publish(name: string | undefined, body: Buffer): Answer {
    return this.#with(name, 10_007, (worker) => {
      worker.published = (jsonOf(body) as { enabled: boolean }).enabled;
      return ok({ enabled: worker.published, previews_enabled: false });
    });
  }

  #schedule(name: string | undefined, body: Buffer): Answer {
    return this.#with(name, 10_007, (worker) => {
      const schedules = jsonOf(body) as { cron: string }[];
      worker.schedules = schedules.map(({ cron }) => cron);
      return ok({ schedules });
    });
  }

  async #rerun(worker: DeployedWorker): Promise<void> {
    // A draft, which `secret bulk` makes of a Worker that is not there yet, has nothing to run.
    if (worker.current?.metadata.compatibility_date !== undefined) await this.databases.run(runnable(worker.current));
  }
}

function jsonOf(body: Buffer): unknown {
  const value = parseJson(body.toString());
  if (!isObject(value) && !Array.isArray(value)) throw new Error(`No JSON: ${body.toString().slice(0, 80)}`);
  return value;
}

const formOf = async (body: Buffer, contentType: string): Promise<FormData> =>
  await new Response(new Uint8Array(body), { headers: { 'Content-Type': contentType } }).formData();

async function readUpload({ body, contentType }: ApiRequest) {
  const form = await formOf(body, contentType);
  const modules = new Map<string, string>();
  for (const [name, part] of form) {
    if (typeof part !== 'string' && part.type.startsWith('application/javascript'))
      modules.set(name, await part.text());
  }
  const metadata = form.get('metadata');
  return {
    metadata: Metadata.parse(JSON.parse(typeof metadata === 'string' ? metadata : ((await metadata?.text()) ?? ''))),
    modules,
  };
}

const serviceOf = ({ name }: DeployedWorker): object => ({
  id: name,
  default_environment: { environment: 'production', script: { id: name, tag: 'f00', last_deployed_from: 'wrangler' } },
});

const asVersion = ({ id, number, metadata }: DeployedWorker['versions'][number]): object => ({
  id,
  number,
  startup_time_ms: 1,
  metadata: {
    created_on: CREATED_ON,
    modified_on: CREATED_ON,
    source: 'wrangler',
    author_email: 'stranger@example.com',
  },
  annotations: metadata.annotations,
  resources: { bindings: [], script: { etag: id, handlers: ['fetch'] }, script_runtime: {} },
});

const asDeployment = (versionId: string): object => ({
  id: versionId,
  source: 'wrangler',
  strategy: 'percentage',
  author_email: 'stranger@example.com',
  annotations: {},
  versions: [{ version_id: versionId, percentage: 100 }],
  created_on: CREATED_ON,
});

const CREATED_ON = '2026-11-28T09:00:00.000000Z';
