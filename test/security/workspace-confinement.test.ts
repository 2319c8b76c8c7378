import { beforeEach, describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../src/vocabulary.ts';
import type { Fault } from '../pipeops-simulator/faults-wire.ts';
import { createHarness, ISSUER, TOKENS, type Answer, type Harness } from '../support/harness.ts';
import { createTestIssuer } from '../support/issuer.ts';
import { expectRefusal, receivedBy } from './expectations.ts';
import { TOKEN_ROUTES } from './routes.ts';
import { BOTH, inEachMode } from './snapshots.ts';

// A caller who reaches any token of a workspace reaches none of another by asking for it here, even if PipeOps would
// let it; and PipeOps being out of reach never reads as "there is no such token".

const ELSEWHERE = 'e15e0000-0000-4000-8000-000000000000';
const issuer = await createTestIssuer({ issuer: ISSUER });
let harness: Harness;
/** Another one each time: of what one caller is denied in a minute only the first is recorded in full. */
let caller: string;

const match = (method: string, path?: string) => ({
  credential: harness.credential,
  method,
  ...(path !== undefined && { path_contains: path }),
});
/** A list that does not hold all, and none of what is looked for. */
const partialList = (): Fault => ({ match: match('GET', TOKENS), partial: 0, times: 1 });
/** PipeOps answering for an id, whatever the workspace that was asked for. */
const getAnswers = (id: string, workspace: unknown): Fault => ({
  match: match('GET', id),
  body: {
    success: true,
    data: { token: { uuid: id, name: 'theirs', scopes: ['api:read'], workspace_id: workspace, is_revoked: false } },
  },
});

const insert = async (workspace: string): Promise<string> =>
  (await harness.control.insertToken({ workspace_uuid: workspace, name: 'by hand' })).id;
/** So that a list with none of its tokens is partial, and not empty. */
const insertAnother = async (): Promise<string> => await insert(harness.workspace);

const pathsAsked = async (): Promise<string[]> =>
  (await receivedBy(harness)).map(({ method, path }) => `${method} ${path}`);
const LIST = `GET ${TOKENS}`;
/** A partial list, and its next page, which PipeOps refuses. */
const PARTIAL_LIST = [LIST, LIST];
const times = (asked: string, fault: Omit<Fault, 'match'>): string[] =>
  Array.from({ length: fault.times ?? 1 }, () => asked);

describe.each(inEachMode(TOKEN_ROUTES))('%s', (_name, route, { env }) => {
  // Each in a company of its own: what PipeOps refused in one test is remembered for the next call.
  beforeEach(async () => {
    // What is tried again is tried at once.
    harness = await createHarness({ issuer, env, runtime: { sleep: async () => await Promise.resolve() } });
    caller = `admin-${crypto.randomUUID()}`;
  });

  const send = async (id: string, query = '', jwt?: string): Promise<Answer> =>
    await harness.send(route.method, `${route.path(id)}${query}`, {
      jwt: jwt ?? (await harness.jwtFor('admin', { sub: caller })),
      ...(route.body !== undefined && { body: route.body }),
    });
  const expectFailure = async (
    answer: Answer,
    [status, code]: readonly [number, ErrorCode],
    row: Readonly<Record<string, unknown>>,
  ): Promise<void> => {
    await expectRefusal(answer, {
      status,
      code,
      row: { action: route.action!, actor_subject: caller, workspace_uuid: harness.workspace, ...row },
    });
  };
  const NOT_FOUND = [404, 'not_found'] as const;
  const unknown = (id: string) => ({ token_id: id, outcome: JSON.stringify({ reason: 'unknown' }) });

  describe('an id of another workspace', () => {
    it('is not found in the whole list, and is not asked for', async () => {
      const id = await insert(ELSEWHERE);
      await expectFailure(await send(id), NOT_FOUND, unknown(id));
      expect(await pathsAsked()).toEqual([LIST]);
    });

    it('is not found although our own inventory holds it there', async () => {
      const created = await harness.send('POST', `${TOKENS}?workspace_uuid=${ELSEWHERE}`, {
        body: { name: 'elsewhere', scopes: ['api:read'] },
      });
      const id = String(created.body.data.id);
      await harness.control.clearRequests({ credential: harness.credential });
      await expectFailure(await send(id), NOT_FOUND, unknown(id));
      expect(await pathsAsked()).toEqual([LIST]);
    });

    it.each<[string, () => unknown]>([
      ['another workspace', () => ELSEWHERE],
      ['no workspace', () => null],
      ['another in other letters', () => ELSEWHERE.toUpperCase()],
      ['another without hyphens', () => ELSEWHERE.replaceAll('-', '')],
      ['ours and more', () => `${harness.workspace}0`],
    ])('is not found behind a partial list if PipeOps answers for it and names %s', async (_case, workspace) => {
      const id = await insert(ELSEWHERE);
      await insertAnother();
      await harness.control.fault(partialList(), getAnswers(id, workspace()));
      await expectFailure(await send(id), NOT_FOUND, unknown(id));
      expect(await pathsAsked()).toEqual([...PARTIAL_LIST, `GET ${TOKENS}/${id}`]);
    });
  });

  it('an id that PipeOps does not know behind a partial list is not found', async () => {
    await insertAnother();
    await harness.control.fault(partialList());
    const id = crypto.randomUUID();
    await expectFailure(await send(id), NOT_FOUND, unknown(id));
    expect(await pathsAsked()).toEqual([...PARTIAL_LIST, `GET ${TOKENS}/${id}`]);
  });

  it('an id of this workspace is reached behind a partial list', async () => {
    const id = await insert(harness.workspace);
    await harness.control.fault(partialList());
    expect((await send(id)).status).toBe(200);
  });

  it.each([
    ['in capitals', () => harness.workspace.toUpperCase()],
    ['without hyphens', () => harness.workspace.replaceAll('-', '')],
  ])('also where PipeOps spells this workspace otherwise: %s', async (_case, spelled) => {
    const id = await insert(harness.workspace);
    await harness.control.fault(partialList(), getAnswers(id, spelled()));
    expect((await send(id)).status).toBe(200);
  });

  it('an id of this workspace is reached by the whole list', async () => {
    expect((await send(await insert(harness.workspace))).status).toBe(200);
  });

  describe('PipeOps out of reach', () => {
    // Where a read is tried three times, it fails three times.
    const OUTAGES: readonly (readonly [string, Omit<Fault, 'match'>, readonly [number, ErrorCode], number | null])[] = [
      ['fails', { status: 500, times: 3 }, [502, 'upstream_error'], 500],
      ['is down', { status: 503, times: 3 }, [502, 'upstream_error'], 503],
      ['drops the connection', { drop: 'before_commit', times: 3 }, [502, 'upstream_unreachable'], null],
      ['answers HTML', { html: true }, [502, 'upstream_invalid_response'], 200],
      ['redirects', { redirect: 'https://evil.example/' }, [502, 'upstream_invalid_response'], 302],
      ['answers half a JSON', { truncate_body: true }, [502, 'upstream_invalid_response'], 200],
      ['asks to wait', { status: 429 }, [429, 'upstream_rate_limited'], 429],
      ['refuses our credential', { status: 401 }, [502, 'upstream_credential_rejected'], 401],
      ['ended our session', { status: 419 }, [502, 'upstream_credential_rejected'], 419],
      ['lets us not in', { status: 403 }, [502, 'upstream_forbidden'], 403],
    ];

    it.each(OUTAGES)('when it %s on the list, that is what is said', async (_case, fault, refusal, upstreamStatus) => {
      await harness.control.fault({ match: match('GET', TOKENS), ...fault });
      const id = crypto.randomUUID();
      await expectFailure(await send(id), refusal, { token_id: id, upstream_status: upstreamStatus });
      expect(await pathsAsked()).toEqual(times(LIST, fault));
    });

    it.each(OUTAGES)('when it %s on the id, that is what is said', async (_case, fault, refusal, upstreamStatus) => {
      await insertAnother();
      const id = await insert(harness.workspace);
      await harness.control.fault(partialList(), { match: match('GET', id), ...fault });
      await expectFailure(await send(id), refusal, { token_id: id, upstream_status: upstreamStatus });
      expect(await pathsAsked()).toEqual([...PARTIAL_LIST, ...times(`GET ${TOKENS}/${id}`, fault)]);
    });
  });
});

describe.each(BOTH)('a role over any token of one workspace, snapshots $snapshots', ({ env }) => {
  const roles = (workspace: string) => ({
    team: {
      permissions: ['tokens:create', 'tokens:read', 'tokens:update', 'tokens:revoke'],
      tokens: 'any',
      workspaces: [workspace],
      scopes: ['*'],
    },
  });

  it('works there, and reaches nothing elsewhere', async () => {
    const confined = await createHarness({ issuer, env, roles: roles(ELSEWHERE) });
    const jwt = await confined.jwtFor('team');
    const there = `?workspace_uuid=${ELSEWHERE}`;
    const id = String(
      (await confined.send('POST', TOKENS + there, { jwt, body: { name: 'x', scopes: ['api:read'] } })).body.data.id,
    );
    expect((await confined.send('GET', TOKENS + there, { jwt })).status).toBe(200);
    expect((await confined.send('GET', `${TOKENS}/${id}${there}`, { jwt })).status).toBe(200);
    expect((await confined.send('GET', `${TOKENS}/${id}`, { jwt })).status).toBe(404);
    expect((await confined.send('GET', TOKENS, { jwt })).status).toBe(403);
  });
});

describe('PipeOps mixes workspaces up', () => {
  it('a listed token that names another workspace is neither shown, acted on nor adopted', async () => {
    const inA = await createHarness();
    const byHand = await inA.control.insertToken({ workspace_uuid: inA.workspace, name: 'of workspace A' });
    const sent: string[] = [];
    const inB = await createHarness({
      issuer: inA.issuer,
      roles: { b: { permissions: ['tokens:read', 'tokens:revoke'], tokens: 'any', workspaces: ['*'] } },
      runtime: {
        fetch: async (url, init) => {
          sent.push(`${init.method} ${url}`);
          if (init.method === 'DELETE') return Response.json({ success: true });
          const token = { id: byHand.id, name: byHand.name, workspace_id: inA.workspace, scopes: ['api:read'] };
          if (url.includes(`/${byHand.id}?`)) return Response.json({ success: true, data: { token } });
          return Response.json({ success: true, data: { tokens: [token], total: 1 } });
        },
      },
    });
    const jwt = await inB.jwtFor('b');
    const listed = await inB.send('GET', TOKENS, { jwt });
    const adopted = (await inB.inventory()).length;
    const revoked = await inB.send('DELETE', `${TOKENS}/${byHand.id}`, { jwt });
    expect({
      shown: listed.body.data.tokens.length,
      adopted,
      status: revoked.status,
      deletes: sent.filter((line) => line.startsWith('DELETE')).length,
    }).toEqual({ shown: 0, adopted: 0, status: 404, deletes: 0 });
  });
});
