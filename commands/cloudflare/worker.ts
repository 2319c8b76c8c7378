import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as z from 'zod';
import { UserError } from '../../local/errors.ts';
import { makeSite, siteBeside } from '../../local/site.ts';
import { runWrangler, wranglerError, type WranglerRun } from '../../local/wrangler.ts';
import { parseJson } from '../../src/kit/json.ts';
import type { Cloudflare } from './account.ts';
import { waysWithoutR2 } from './bucket.ts';
import type { Section } from './section.ts';

const SecretNames = z.array(z.object({ name: z.string() }));

/**
 * The names of the secrets that the deployed Worker has; or null if there is no such Worker.
 *
 * @throws UserError with wrangler's reason if it cannot be asked.
 */
export async function readSecretNames({ wrangler }: Cloudflare): Promise<readonly string[] | null> {
  const run = await wrangler(['secret', 'list', '--format', 'json']);
  const names = SecretNames.safeParse(parseJson(run.stdout));
  if (run.exitCode === 0 && names.success) return names.data.map(({ name }) => name);
  const error = wranglerError(run);
  if (isNoWorker(error)) return null;
  throw new UserError(`Cloudflare does not say which secrets the Worker has: ${error}`);
}

const isNoWorker = (error: string): boolean => /Worker ".*" .*not found|\[code: 10007\]/.test(error);

/**
 * Sets secrets of the Worker in one request. They go through standard input: whoever may list processes can read arguments. A Worker
 * that is not there yet is made, without code.
 *
 * @throws UserError with wrangler's reason.
 */
export async function putSecrets({ wrangler }: Cloudflare, secrets: ReadonlyMap<string, string>): Promise<void> {
  const run = await wrangler(['secret', 'bulk'], { input: JSON.stringify(Object.fromEntries(secrets)) });
  if (run.exitCode !== 0) throw new UserError(`The secrets were not set: ${wranglerError(run)}`);
}

const Deployment = z.object({ versions: z.array(z.object({ version_id: z.string(), percentage: z.number() })) });
const Version = z.object({ annotations: z.record(z.string(), z.string()).default({}) });

/** The id of the version that answers all requests; or null if there is none, or several share them. */
export async function readDeployedVersion({ wrangler }: Cloudflare): Promise<string | null> {
  const run = await wrangler(['deployments', 'status', '--json']);
  const deployment = Deployment.safeParse(parseJson(run.stdout));
  const [only, ...others] = deployment.success ? deployment.data.versions : [];
  return only === undefined || others.length > 0 ? null : only.version_id;
}

/** The tag that a version was deployed with; null if it has none. A version that a change of secrets made has none. */
export async function readTag({ wrangler }: Cloudflare, versionId: string): Promise<string | null> {
  const run = await wrangler(['versions', 'view', versionId, '--json']);
  const version = Version.safeParse(parseJson(run.stdout));
  return (version.success ? version.data.annotations['workers/tag'] : undefined) ?? null;
}

/**
 * Builds the Worker of a section and the pages of `/docs`, and returns the tag of what was built: a digest of the code, the policy, the
 * configuration and the pages. What is deployed under the same tag needs no deployment.
 *
 * @throws UserError if it does not build, with the reason.
 */
export async function buildTag({ configPath, name }: Section): Promise<string> {
  const site = await makeSite(siteBeside(configPath));
  const folder = mkdtempSync(path.join(tmpdir(), 'countersign-build-'));
  try {
    const run = await runWrangler(['deploy', '--dry-run', '--outdir', folder], { configPath, section: name });
    if (run.exitCode !== 0) throw new UserError(`The Worker does not build: ${wranglerError(run)}`);
    const digest = createHash('sha256')
      .update(readFileSync(path.join(folder, 'index.js')))
      .update(readFileSync(configPath))
      .update(site);
    return `countersign-${digest.digest('hex').slice(0, 16)}`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What a deployment came to. */
export interface Deployed {
  /** Null where wrangler does not name it. */
  readonly versionId: string | null;
  /** Where the Worker answers, without a trailing slash; null where only routes lead to it. */
  readonly url: string | null;
}

/**
 * Deploys the Worker.
 *
 * @param mayAsk on a terminal wrangler may then ask for the name of the account's workers.dev subdomain.
 * @throws UserError with wrangler's reason.
 */
export async function deployWorker(cloudflare: Cloudflare, tag: string, mayAsk: boolean): Promise<Deployed> {
  const args = ['deploy', '--tag', tag];
  const run = await cloudflare.wrangler(args);
  if (run.exitCode === 0) return deployedBy(run);
  const error = wranglerError(run);
  if (!error.includes('workers.dev subdomain')) {
    throw new UserError(`The Worker was not deployed: ${error}${waysWithoutR2(error, cloudflare.section)}`);
  }
  if (!mayAsk) {
    throw new UserError(`The Worker needs a workers.dev subdomain, which this account does not have yet. ${error}`);
  }
  const shown = await cloudflare.wrangler(args, { output: 'shown' });
  if (shown.exitCode !== 0) throw new UserError('The Worker was not deployed: see above.');
  return await deployTriggers(cloudflare);
}

/**
 * Sets the address and the cron of a version that is deployed already. An earlier deployment may have ended before it did.
 *
 * @throws UserError with wrangler's reason.
 */
export async function deployTriggers({ wrangler }: Cloudflare): Promise<Deployed> {
  const run = await wrangler(['triggers', 'deploy']);
  if (run.exitCode !== 0) throw new UserError(`The address and the cron were not set: ${wranglerError(run)}`);
  return deployedBy(run);
}

/** Reads what wrangler prints about a deployment: `  https://…`, or `  host.example (custom domain)`. */
function deployedBy({ stdout }: WranglerRun): Deployed {
  const domain = /^ {2}(\S+) \(custom domain/m.exec(stdout)?.[1];
  const url = domain === undefined ? /^ {2}(https:\/\/\S+)$/m.exec(stdout)?.[1] : `https://${domain}`;
  return { versionId: /^Current Version ID: (\S+)$/m.exec(stdout)?.[1] ?? null, url: url ?? null };
}
