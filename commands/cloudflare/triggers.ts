import * as z from 'zod';
import { UserError } from '../../local/errors.ts';
import { wranglerError } from '../../local/wrangler.ts';
import { isHttpLoopback } from '../../src/config/fields.ts';
import { parseJson } from '../../src/kit/json.ts';
import type { Cloudflare } from './account.ts';

const ANSWER_WITHIN_MS = 10_000;
const CLOUDFLARE_API = 'https://api.cloudflare.com/client/v4';

/** How Cloudflare's API is asked what no command of wrangler shows. It holds a credential, and is never printed. */
export type CloudflareApi = (path: string) => Promise<{ readonly status: number; readonly result: unknown }>;

const Credential = z.union([
  z.object({ token: z.string() }).transform(({ token }) => ({ Authorization: `Bearer ${token}` })),
  z.object({ key: z.string(), email: z.string() }).transform(({ key, email }) => ({
    'X-Auth-Key': key,
    'X-Auth-Email': email,
  })),
]);
const Envelope = z.object({ result: z.unknown() });

/**
 * Opens Cloudflare's API with the login of wrangler, for reading.
 *
 * @param variables the environment that wrangler is given. `CLOUDFLARE_API_BASE_URL` names another API, as for wrangler.
 * @throws UserError if wrangler does not hand out its login.
 */
export async function openApi(
  { wrangler, account }: Cloudflare,
  variables: Readonly<Record<string, string | undefined>>,
): Promise<CloudflareApi> {
  const base = variables['CLOUDFLARE_API_BASE_URL'] || CLOUDFLARE_API;
  const url = URL.parse(base);
  if (url === null || (url.protocol !== 'https:' && !isHttpLoopback(url))) {
    throw new UserError(
      'CLOUDFLARE_API_BASE_URL is neither https nor http on this machine: a login would be seen on the way.',
    );
  }
  const run = await wrangler(['auth', 'token', '--json']);
  const credential = Credential.safeParse(parseJson(run.stdout));
  if (run.exitCode !== 0 || !credential.success) {
    throw new UserError(`wrangler does not say with which login it asks Cloudflare: ${wranglerError(run)}`);
  }
  return async (path) => {
    const answer = await fetch(`${base}/accounts/${account.id}${path}`, {
      headers: credential.data,
      redirect: 'manual',
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    });
    const envelope = Envelope.safeParse(parseJson(await answer.text()));
    return { status: answer.status, result: envelope.success ? envelope.data.result : null };
  };
}

const Schedules = z.object({ schedules: z.array(z.object({ cron: z.string() })) });

/**
 * The crons of the deployed Worker.
 *
 * @throws UserError if Cloudflare does not say.
 */
export async function readCrons(api: CloudflareApi, workerName: string): Promise<readonly string[]> {
  const { status, result } = await ask(api, `/workers/scripts/${encodeURIComponent(workerName)}/schedules`);
  const schedules = Schedules.safeParse(result);
  if (schedules.success) return schedules.data.schedules.map(({ cron }) => cron);
  throw new UserError(`Cloudflare does not say which crons the Worker has (it answers ${status})`);
}

const Subdomain = z.object({ subdomain: z.string() });

/** Where the Worker answers under workers.dev; null if the account has no subdomain there. */
export async function readWorkersDevUrl(api: CloudflareApi, workerName: string): Promise<string | null> {
  const { result } = await ask(api, '/workers/subdomain');
  const subdomain = Subdomain.safeParse(result);
  return subdomain.success ? `https://${workerName}.${subdomain.data.subdomain}.workers.dev` : null;
}

async function ask(api: CloudflareApi, path: string): ReturnType<CloudflareApi> {
  try {
    return await api(path);
  } catch (error) {
    const cause: unknown = error instanceof Error ? (error.cause ?? error) : error;
    const reason = cause instanceof Error ? ('code' in cause ? String(cause.code) : cause.name) : String(cause);
    throw new UserError(`Cloudflare does not answer (${reason})`);
  }
}
