import { UserError } from '../../local/errors.ts';
import type { Finding } from '../../src/config/problems.ts';
import { type Cloudflare, connect } from '../cloudflare/account.ts';
import { pendingMigrations, readMigrations } from '../cloudflare/database.ts';
import { waitUntilReady } from '../cloudflare/readiness.ts';
import { readSection, type Section } from '../cloudflare/section.ts';
import { type CloudflareApi, openApi, readCrons, readWorkersDevUrl } from '../cloudflare/triggers.ts';
import { readSecretNames } from '../cloudflare/worker.ts';
import { CRON } from './deployment.ts';
import type { Variables, WranglerConfig } from './environment.ts';
import { hasTrailBucket, sealingFindings } from './trail.ts';

/** What policy and code need of a deployment. */
export interface Needs {
  readonly configPath: string;
  readonly section: string;
  readonly config: WranglerConfig;
  /** The names of secrets: `needed` without which the Worker serves nothing, and `optional`. Null: the policy is not valid. */
  readonly secrets: { readonly needed: readonly string[]; readonly optional: readonly string[] } | null;
  /** Where the deployment answers; null for where its configuration says. */
  readonly url: string | null;
}

interface Looked {
  readonly fine: readonly string[];
  readonly findings: readonly Finding[];
}

/** Compares what is deployed with what policy and code need. It reads only, and looks at the rest where one part cannot be seen. */
export async function examineDeployment(needs: Needs, variables: Variables): Promise<Looked> {
  const cloudflare = await attempt(async () => connect(readSection(needs.configPath, needs.section), variables, false));
  if ('unseen' in cloudflare) {
    const unseen = unseenPart(
      'Cloudflare',
      cloudflare.unseen,
      '`npx wrangler login --config wrangler.toml`, or CLOUDFLARE_API_TOKEN=…',
    );
    return together([unseen, await readinessPart(needs, null)]);
  }
  const names = await attempt(async () => readSecretNames(cloudflare.seen));
  if ('seen' in names && names.seen === null) return noWorker(cloudflare.seen.section);
  const rest = await Promise.all([
    migrationsPart(cloudflare.seen),
    ...(await triggerParts(needs, cloudflare.seen, variables)),
  ]);
  return together([secretsPart(needs, names), sealingPart(needs, 'seen' in names ? names.seen : null), ...rest]);
}

const together = (parts: readonly Looked[]): Looked => ({
  fine: parts.flatMap(({ fine }) => fine),
  findings: parts.flatMap(({ findings }) => findings),
});

const fine = (line: string): Looked => ({ fine: [line], findings: [] });
const problem = (key: string, words: string, example: string): Looked => ({
  fine: [],
  findings: [{ severity: 'problem', key, problem: words, example }],
});

type Attempt<Seen> = { readonly seen: Seen } | { readonly unseen: string };

/** Something that another part of the deployment does not depend on. Only what a person can mend is caught. */
async function attempt<Seen>(look: () => Promise<Seen>): Promise<Attempt<Seen>> {
  try {
    return { seen: await look() };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { unseen: error.message };
  }
}

const unseenPart = (key: string, reason: string, example: string): Looked =>
  problem(key, `could not be looked at: ${oneLine(reason)}`, example);

const oneLine = (message: string): string =>
  message
    .trim()
    .replace(/\.$/, '')
    .replaceAll(/\s*\n\s*/g, ' ');

const noWorker = ({ name, workerName }: Section): Looked =>
  problem('Worker', `${workerName} is not deployed in this account`, `\`npm run setup -- --env ${name}\``);

function secretsPart({ section, secrets }: Needs, names: Attempt<readonly string[] | null>): Looked {
  if ('unseen' in names) return unseenPart('secrets', names.unseen, 'an API token that may read Workers Scripts');
  const present = names.seen ?? [];
  if (secrets === null) {
    return unseenPart('secrets', 'the policy names some of them, and is not valid', 'a valid policy, and then again');
  }
  const missing = secrets.needed.filter((name) => !present.includes(name));
  const known = [...secrets.needed, ...secrets.optional];
  const surplus = present.filter((name) => !known.includes(name));
  return together([
    missing.length === 0 ? fine(`secrets: all ${secrets.needed.length} are set`) : together([]),
    ...missing.map((name) =>
      problem(
        name,
        'is not set in the deployment: the Worker serves nothing without it',
        `\`npm run setup -- --env ${section}\`, which sets what is missing`,
      ),
    ),
    ...surplus.map((name): Looked => ({
      fine: [],
      findings: [
        {
          severity: 'warning',
          key: name,
          problem: 'is a secret of the deployment that neither code nor policy needs',
          example: `\`npx wrangler secret delete ${name} --config wrangler.toml --env ${section}\`, unless a deployment to come needs it`,
        },
      ],
    })),
  ]);
}

function sealingPart({ section, config }: Needs, secrets: readonly string[] | null): Looked {
  const names = secrets === null ? null : new Set([...secrets, ...Object.keys(config.vars)]);
  return { fine: [], findings: sealingFindings({ names, hasBucket: hasTrailBucket(config), section }) };
}

async function migrationsPart(cloudflare: Cloudflare): Promise<Looked> {
  const { name, databaseName } = cloudflare.section;
  const example = `\`npm run deploy -- --env ${name}\`, which applies them before it deploys`;
  const applied = await attempt(async () => readMigrations(cloudflare));
  if ('unseen' in applied) return unseenPart('migrations', applied.unseen, 'an API token that may read D1');
  const { seen } = applied;
  if (seen === null) {
    return problem('DB', `${databaseName} is not there in this account`, `\`npm run setup -- --env ${name}\``);
  }
  const pending = await attempt(async () => Promise.resolve(pendingMigrations(cloudflare, seen)));
  if ('unseen' in pending)
    return problem(
      'migrations',
      `differ from those here. ${oneLine(pending.unseen)}`,
      'a checkout of the version that is deployed',
    );
  if (pending.seen.length === 0) return fine(`migrations: all ${seen.length} are applied`);
  return problem('migrations', `lack ${pending.seen.join(', ')}`, example);
}

/** The cron, and readiness at the address that Cloudflare tells. */
async function triggerParts(
  needs: Needs,
  cloudflare: Cloudflare,
  variables: Variables,
): Promise<readonly Promise<Looked>[]> {
  const opened = await attempt(async () => openApi(cloudflare, variables));
  if ('seen' in opened) return [cronPart(cloudflare.section, opened.seen), readinessPart(needs, opened.seen)];
  return [
    Promise.resolve(unseenPart('cron', opened.unseen, '`npx wrangler login --config wrangler.toml`')),
    readinessPart(needs, null),
  ];
}

async function cronPart({ name, workerName }: Section, api: CloudflareApi): Promise<Looked> {
  const crons = await attempt(async () => readCrons(api, workerName));
  if ('unseen' in crons) return unseenPart('cron', crons.unseen, 'an API token that may read Workers Scripts');
  if (crons.seen.includes(CRON)) return fine(`cron: ${CRON}`);
  const has = crons.seen.length === 0 ? 'has none' : `has ${crons.seen.join(', ')}`;
  const words = `of each minute is not deployed, which ${has}: nothing drives revocations, or settles attempts whose outcome is unknown`;
  return problem('cron', words, `\`npm run deploy -- --env ${name}\``);
}

async function readinessPart(needs: Needs, api: CloudflareApi | null): Promise<Looked> {
  const url = needs.url ?? customDomain(needs.config) ?? (await workersDevUrl(needs.config, api));
  if (url === null) {
    return unseenPart('/readyz', 'nothing says where the deployment answers', '--url https://…');
  }
  const readiness = await waitUntilReady(url.replace(/\/+$/, ''), 0, () => {});
  const tail = `the reason in \`npx wrangler tail --config wrangler.toml --env ${needs.section}\``;
  if (!readiness.ready) return problem('/readyz', `of ${url} is not ready: ${readiness.reason}`, tail);
  if (readiness.degraded.length === 0) return fine(`/readyz: ${url} is ready`);
  return problem(
    '/readyz',
    `of ${url} is ready, and says to look into ${readiness.degraded.join(', ')}`,
    'what docs/operate.md, "Watching it", says to do about each',
  );
}

/** The first domain that belongs to the Worker as a whole. A route with a pattern may lead only a part of a host to it. */
function customDomain({ route, routes = [] }: WranglerConfig): string | null {
  for (const candidate of [route, ...routes]) {
    if (typeof candidate === 'object' && 'custom_domain' in candidate && candidate.custom_domain) {
      return `https://${candidate.pattern}`;
    }
  }
  return null;
}

async function workersDevUrl({ name, workers_dev: isPublished }: WranglerConfig, api: CloudflareApi | null) {
  if (api === null || name === undefined || isPublished === false) return null;
  const url = await attempt(async () => readWorkersDevUrl(api, name));
  return 'seen' in url ? url.seen : null;
}
