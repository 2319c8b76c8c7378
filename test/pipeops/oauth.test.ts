import { describe, expect, it } from 'vitest';
import { newTrace } from '../../src/kit/trace.ts';
import { createTokenEndpoint } from '../../src/pipeops/oauth.ts';
import { API_URL, json, NOW_MS, type Answer } from './scripted-pipeops.ts';

const REFRESH = 'rt-the-refresh-token';
const PUBLIC = { clientId: 'client', clientSecret: null };

/** The endpoint before a network that gives this answer. Its deadlines are over as soon as they are set, or never. */
function endpointWith(answer: Answer, { client = PUBLIC, isOver = false, apiUrl = API_URL } = {}) {
  const sent: { url: string; init: RequestInit }[] = [];
  const runtime = {
    now: () => NOW_MS,
    fetch: async (url: string, init: RequestInit) => {
      sent.push({ url, init });
      return await answer(init);
    },
    timeout: () => (isOver ? AbortSignal.abort() : new AbortController().signal),
    cancel: () => {},
  };
  return { endpoint: createTokenEndpoint(apiUrl, client, runtime), sent };
}

const exchangeOf = async (answer: Answer, options: Parameters<typeof endpointWith>[1] = {}) =>
  await endpointWith(answer, options).endpoint.exchange(REFRESH, 'event-1', newTrace());

const hang: Answer = async () => await new Promise<never>(() => {});

describe('the exchange', () => {
  it('is one POST to /oauth/token below the base path, without a redirect and without a credential', async () => {
    const { endpoint, sent } = endpointWith(json(200, { access_token: 'a' }), { apiUrl: `${API_URL}/base` });
    const trace = newTrace();
    await endpoint.exchange(REFRESH, 'event-1', trace);
    expect(sent).toHaveLength(1);
    expect(sent[0]?.url).toBe(`${API_URL}/base/oauth/token`);
    expect(sent[0]?.init).toMatchObject({ method: 'POST', redirect: 'manual' });
    const headers = new Headers(sent[0]?.init.headers);
    expect([headers.get('X-Request-Id'), headers.get('Authorization')]).toEqual(['event-1', null]);
    expect(trace.upstreamCalls).toBe(1);
  });

  it.each<[string, object, object]>([
    ['the form of RFC 6749', { access_token: 'a', refresh_token: 'r', expires_in: 60 }, { refreshToken: 'r' }],
    ['a lifetime as text', { access_token: 'a', expires_in: '60' }, {}],
    [
      'PipeOps’ envelope',
      { success: true, data: { access_token: 'a', refresh_token: 'r', expires_in: 60 } },
      { refreshToken: 'r' },
    ],
    ['no refresh token', { access_token: 'a', expires_in: 60 }, {}],
    ['an empty refresh token', { access_token: 'a', refresh_token: '', expires_in: 60 }, {}],
    ['null for a refresh token', { access_token: 'a', refresh_token: null, expires_in: 60 }, {}],
    ['no lifetime', { access_token: 'a' }, { expiresInSeconds: null }],
    ['a lifetime of nothing', { access_token: 'a', expires_in: 0 }, { expiresInSeconds: null }],
    ['a lifetime that is none', { access_token: 'a', expires_in: 'soon' }, { expiresInSeconds: null }],
  ])('reads %s', async (_, body, tokens) => {
    const expected = { accessToken: 'a', refreshToken: null, expiresInSeconds: 60, ...tokens };
    expect(await exchangeOf(json(200, body))).toEqual({ ok: true, value: expected });
  });

  it.each<[string, Answer, boolean, string]>([
    ['hangs', hang, true, 'upstream_timeout'],
    ['breaks', async () => await Promise.reject(new TypeError('broken')), false, 'upstream_unreachable'],
    [
      'gives a refresh token that is none',
      json(200, { access_token: 'a', refresh_token: 7 }),
      false,
      'upstream_invalid_response',
    ],
    ['gives no object', json(200, []), false, 'upstream_invalid_response'],
    ['gives nothing', () => new Response(null, { status: 204 }), false, 'upstream_invalid_response'],
  ])('that %s has an unknown outcome', async (_, answer, isOver, kind) => {
    expect(await exchangeOf(answer, { isOver })).toEqual({
      ok: false,
      error: { failure: expect.objectContaining({ kind }), presented: 'unknown', oauthError: null },
    });
  });
});

describe('the endpoint answers', () => {
  it.each<[string, Answer, boolean, boolean]>([
    ['where it says 405', json(405, {}), false, true],
    ['where it says 404', json(404, {}), false, true],
    ['where it says 400', json(400, { error: 'invalid_request' }), false, true],
    ['not where it says 500', json(500, {}), false, false],
    ['not where it says 503', json(503, {}), false, false],
    ['not where the connection breaks', async () => await Promise.reject(new TypeError('broken')), false, false],
    ['not where it hangs', hang, true, false],
  ])('%s', async (_, answer, isOver, answers) => {
    const { endpoint, sent } = endpointWith(answer, { isOver });
    expect(await endpoint.answers(newTrace())).toBe(answers);
    expect(sent[0]?.init).toMatchObject({ method: 'GET' });
    expect(sent[0]?.init.body ?? null).toBeNull();
  });
});
