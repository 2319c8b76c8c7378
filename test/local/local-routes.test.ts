import { Request } from 'miniflare';
import { describe, expect, it } from 'vitest';
import { localRoutes, type LocalFacts } from '../../local/local-routes.ts';

const facts: LocalFacts = {
  url: 'http://127.0.0.1:8787',
  simulatorUrl: 'http://127.0.0.1:8788',
  scannerSecret: `whsec_${Buffer.alloc(32).toString('base64')}`,
};
const console = { 'X-Countersign-Console': '1', 'Sec-Fetch-Site': 'same-origin' };
const body = JSON.stringify({ workspace_uuid: 'w', token_id: 't' });

async function ask(
  method: string,
  path: string,
  headers: Readonly<Record<string, string>> = console,
  change: Partial<LocalFacts> = {},
  sent: string | null = method === 'POST' ? body : null,
) {
  const url = path.startsWith('http') ? path : `${facts.url}${path}`;
  const answer = await localRoutes({ ...facts, ...change })(new Request(url, { method, headers, body: sent }));
  const said: unknown = await answer.json();
  return { status: answer.status, said };
}

describe('what npm start serves in front of the Worker', () => {
  it('says to the console that tokens can be leaked', async () => {
    expect(await ask('GET', '/local')).toMatchObject({ status: 200, said: { success: true, data: { local: true } } });
  });

  it.each([
    ['without the header of the console', '/local/leak', { 'Sec-Fetch-Site': 'same-origin' }],
    ['of another site', '/local/leak', { ...console, 'Sec-Fetch-Site': 'cross-site' }],
    ['of another port of this machine', '/local/leak', { ...console, 'Sec-Fetch-Site': 'same-site' }],
    ['of another origin', '/local/leak', { 'X-Countersign-Console': '1', Origin: 'http://evil.example' }],
    ['of an origin that is none', '/local/leak', { 'X-Countersign-Console': '1', Origin: 'null' }],
    ['under a foreign name that leads here', 'http://evil.example:8787/local/leak', console],
  ])('refuses a request %s', async (_what, path, headers) => {
    for (const [method, of] of [
      ['POST', path],
      ['GET', path.replace('/leak', '')],
    ] as const) {
      expect(await ask(method, of, headers)).toEqual({
        status: 403,
        said: {
          success: false,
          status: 'error',
          message: 'Only the console of this local run may ask here: open it, and use its button.',
          code: 'cross_site',
          request_id: expect.any(String),
        },
      });
    }
  });

  it.each([
    ['GET', '/local/leak'],
    ['POST', '/local'],
    ['POST', '/local/leak/'],
    ['GET', '/local/nothing'],
  ])('has nothing else: %s %s', async (method, path) => {
    expect(await ask(method, path)).toMatchObject({ status: 404, said: { code: 'not_found' } });
  });

  it.each(['', '{', '[]', '{}', '{"token_id":"t"}', '{"workspace_uuid":"w","token_id":1}'])(
    'says what to send instead of %j',
    async (sent) => {
      expect(await ask('POST', '/local/leak', console, {}, sent)).toMatchObject({
        status: 400,
        said: { code: 'invalid_request', message: 'Send {"workspace_uuid": "…", "token_id": "…"} as JSON.' },
      });
    },
  );

  it.each([
    ['GET', '/local'],
    ['POST', '/local/leak'],
  ])('takes no secret from a PipeOps that is not the simulator, and says so to %s %s', async (method, route) => {
    expect(await ask(method, route, console, { simulatorUrl: null })).toMatchObject({
      status: 409,
      said: { code: 'no_simulator', message: expect.stringContaining('Start npm start without PIPEOPS_API_URL') },
    });
  });

  it('says that the simulator does not answer', async () => {
    expect(await ask('POST', '/local/leak', console, { simulatorUrl: 'http://127.0.0.1:1' })).toMatchObject({
      status: 502,
      said: { code: 'upstream_unreachable' },
    });
  });
});
