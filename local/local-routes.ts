import { Response, type Request } from 'miniflare';
import * as z from 'zod';
import { isHttpLoopback } from '../src/config/fields.ts';
import { workspaceAsRead } from '../src/kit/ids.ts';
import { signedWebhook } from './signed-webhook.ts';

export interface LocalFacts {
  /** Where the service is. */
  readonly url: string;
  /** Null beside a PipeOps that is not the simulator. */
  readonly simulatorUrl: string | null;
  /** What the source `scanner` of the local policy signs with. */
  readonly scannerSecret: string;
}

/** Where the report says that the secret was found. */
const FOUND_AT = 'https://example.test/leaked-on-purpose';

/**
 * The routes that `npm start` serves in front of the Worker, for the console alone. `GET /local` says whether a token can be leaked.
 * `POST /local/leak` plays the scanner: it takes a token's secret from the simulator, and reports it by a signed webhook.
 */
export function localRoutes(facts: LocalFacts): (request: Request) => Promise<Response> {
  return async (request) => {
    const route = `${request.method} ${new URL(request.url).pathname}`;
    if (!isFromConsole(request)) {
      return failure(
        403,
        'cross_site',
        'Only the console of this local run may ask here: open it, and use its button.',
      );
    }
    switch (route) {
      case 'GET /local':
        if (facts.simulatorUrl === null) return noSimulator();
        return answer(200, { success: true, message: 'Tokens of this run can be leaked', data: { local: true } });
      case 'POST /local/leak':
        return await leak(facts, await request.text()).catch(() =>
          failure(
            502,
            'upstream_unreachable',
            'The simulator or the service does not answer. Is npm start still running?',
          ),
        );
      default:
        return failure(404, 'not_found', 'There is nothing at this path: POST /local/leak leaks a token.');
    }
  };
}

/**
 * No form can send the header, and no other site may by fetch, since nothing here answers a preflight. A site whose name leads to
 * this machine (DNS rebinding) is its own origin in the eyes of a browser, so that the name counts too.
 */
function isFromConsole({ url, headers }: Request): boolean {
  const parsed = new URL(url);
  return (
    isHttpLoopback(parsed) &&
    headers.has('X-Countersign-Console') &&
    (headers.get('Sec-Fetch-Site') ?? 'same-origin') === 'same-origin' &&
    (headers.get('Origin') ?? parsed.origin) === parsed.origin
  );
}

const Leak = z.strictObject({ workspace_uuid: z.string().min(1), token_id: z.string().min(1) });
const Tokens = z.object({ tokens: z.array(z.object({ id: z.string(), secret: z.string() })) });
const Receipt = z.object({ data: z.object({ delivery_id: z.string() }) });

async function leak({ url, simulatorUrl, scannerSecret }: LocalFacts, body: string): Promise<Response> {
  const asked = Leak.safeParse(jsonOf(body));
  if (!asked.success) {
    return failure(400, 'invalid_request', 'Send {"workspace_uuid": "…", "token_id": "…"} as JSON.');
  }
  if (simulatorUrl === null) return noSimulator();
  const { workspace_uuid: workspace, token_id: id } = asked.data;
  const query = new URLSearchParams({ workspace_uuid: workspaceAsRead(workspace) });
  const { tokens } = Tokens.parse(await (await fetch(`${simulatorUrl}/__control/tokens?${query.toString()}`)).json());
  const secret = tokens.find((token) => token.id === id)?.secret;
  if (secret === undefined) {
    return failure(404, 'not_found', 'The simulator has no such token in this workspace: look at the list of tokens.');
  }
  const message = { event: 'token.leaked', data: { token: secret, url: FOUND_AT } };
  const signed = signedWebhook(message, scannerSecret, `msg_${crypto.randomUUID()}`, new Date());
  const reported = await fetch(`${url}/webhooks/scanner`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'User-Agent': 'countersign-local-leak', ...signed.headers },
    body: signed.body,
  });
  const said: unknown = await reported.json();
  const receipt = Receipt.safeParse(said);
  // A refusal is in the API's words already.
  if (reported.status !== 202 || !receipt.success) return answer(reported.status, said);
  const { delivery_id } = receipt.data.data;
  return answer(202, { success: true, message: 'The scanner has reported the secret', data: { delivery_id } });
}

const noSimulator = (): Response =>
  failure(
    409,
    'no_simulator',
    'This run works on a PipeOps that is not the simulator, and nobody can take a secret from there. Start npm start without PIPEOPS_API_URL to leak a token.',
  );

/** In the envelope of the API. These routes are none of its own, and its pages do not explain their failures. */
const failure = (status: number, code: string, message: string): Response =>
  answer(status, { success: false, status: 'error', message, code, request_id: crypto.randomUUID() });

const answer = (status: number, body: unknown): Response =>
  Response.json(body, { status, headers: { 'Cache-Control': 'no-store' } });

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
