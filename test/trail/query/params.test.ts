import { describe, expect, it } from 'vitest';
import {
  ACTOR_ISSUER_MAX_BYTES,
  ACTOR_SUBJECT_MAX_BYTES,
  AUDIT_PAGE_DEFAULT_ROWS,
  AUDIT_PAGE_MAX_ROWS,
  TOKEN_NAME_MAX_BYTES,
} from '../../../src/config/limits.ts';
import { AUDIT_FILTER_DETAIL_MAX_BYTES, AUDIT_FILTER_TEXT_LEAST_BYTES } from '../../../src/config/trail-limits.ts';
import { encodeCursor } from '../../../src/http/query.ts';
import { byteLength } from '../../../src/kit/bytes.ts';
import { err, ok } from '../../../src/kit/result.ts';
import { type EventFilter, type FILTER_PARAMETERS, filterDetail, NO_FILTER } from '../../../src/trail/query/filter.ts';
import {
  COUNTED_BY,
  parseAuditCount,
  parseAuditExport,
  parseAuditQuery,
  positionDetail,
} from '../../../src/trail/query/params.ts';
import { AUDIT_ACTIONS } from '../../../src/vocabulary.ts';

// What the parameters of queries, exports and counts mean, and what the row of each says of its filter: text in, values out.

/** An issuer, a bar and a subject, each as long as it may be. */
const ACTOR_MAX_BYTES = ACTOR_ISSUER_MAX_BYTES + 1 + ACTOR_SUBJECT_MAX_BYTES;
const CALLER = { issuer: 'https://issuer.example', subject: 'alice' };
const query = (text: string) => parseAuditQuery(new URLSearchParams(text), CALLER);
const exported = (text: string) => parseAuditExport(new URLSearchParams(text), CALLER);
const counted = (text: string) => parseAuditCount(new URLSearchParams(text), CALLER);

const EVERY = {
  action: 'audit.query,!audit.export',
  status: 'failure',
  code: 'not_found',
  actor: 'bob',
  actor_type: 'user',
  token_id: 'tok-1',
  token_name: 'deploy',
  token_prefix: 'sat_a1B2c3D',
  scope: 'api:read',
  role: 'admin',
  policy_version: '0123456789abcdef',
  workspace_uuid: 'e15e0000-0000-4000-8000-000000000000',
  request_id: 'request-1',
  ip: '203.0.113.9',
  from: '2026-01-01T00:00:00Z',
  to: '2026-01-02T00:00:00Z',
} satisfies Record<(typeof FILTER_PARAMETERS)[number], string>;
const FILTER: EventFilter = {
  actions: ['audit.query'],
  except: ['audit.export'],
  status: 'failure',
  code: 'not_found',
  actor: 'bob',
  own: null,
  actorType: 'user',
  tokenId: 'tok-1',
  tokenName: 'deploy',
  tokenPrefix: 'sat_a1B2c3D',
  scope: 'api:read',
  role: 'admin',
  policyVersion: '0123456789abcdef',
  workspaceUuid: 'e15e0000-0000-4000-8000-000000000000',
  requestId: 'request-1',
  ip: '203.0.113.9',
  fromMs: Date.UTC(2026, 0, 1),
  toMs: Date.UTC(2026, 0, 2),
};
const FILTERED = new URLSearchParams(EVERY).toString();

describe('the parameters of a query', () => {
  const position = { direction: 'desc', seq: null } as const;

  it('are a page of the newest events, where there are none', () => {
    expect(query('')).toEqual(ok({ filter: NO_FILTER, position, limitRows: AUDIT_PAGE_DEFAULT_ROWS, latest: false }));
  });

  it('may be all of them', () => {
    expect(query(`${FILTERED}&order=asc&limit=${AUDIT_PAGE_MAX_ROWS}&cursor=${encodeCursor(7)}&latest=true`)).toEqual(
      ok({ filter: FILTER, position: { direction: 'asc', seq: 7 }, limitRows: AUDIT_PAGE_MAX_ROWS, latest: true }),
    );
    expect(query('order=desc&latest=false')).toMatchObject(ok({ position, latest: false }));
  });

  it.each([
    'order=up',
    'limit=0',
    `limit=${AUDIT_PAGE_MAX_ROWS + 1}`,
    'cursor=7',
    'latest=yes',
    'format=csv',
    'by=day',
  ])('are refused by name: %s', (text) => {
    const name = text.split('=')[0] ?? '';
    expect(query(text)).toEqual(err({ kind: 'invalid_request', errors: { [name]: [expect.any(String)] } }));
  });
});

describe('the parameters of an export', () => {
  it('are all settled events in the form of NDJSON, where there are none', () => {
    expect(exported('')).toEqual(ok({ format: 'ndjson', filter: NO_FILTER, afterSeq: null, latest: false }));
  });

  it('may be all of them', () => {
    expect(exported(`${FILTERED}&format=csv&cursor=${encodeCursor(7)}&latest=true`)).toEqual(
      ok({ format: 'csv', filter: FILTER, afterSeq: 7, latest: true }),
    );
    expect(exported('latest=false')).toMatchObject(ok({ latest: false }));
  });

  it.each(['format=xml', 'cursor=7', 'latest=yes', 'order=asc', 'limit=1'])('are refused by name: %s', (text) => {
    const name = text.split('=')[0] ?? '';
    expect(exported(text)).toEqual(err({ kind: 'invalid_request', errors: { [name]: [expect.any(String)] } }));
  });
});

describe('the parameters of a count', () => {
  it.each(COUNTED_BY)('are what it counts by, and a filter: %s', (by) => {
    expect(counted(`by=${by}`)).toEqual(ok({ by, filter: NO_FILTER }));
    expect(counted(`${FILTERED}&by=${by}`)).toEqual(ok({ by, filter: FILTER }));
  });

  it.each(['action', 'actor', 'code', 'status', 'day', 'hour'])('may be %s', (by) => {
    expect(counted(`by=${by}`)).toMatchObject(ok({ by }));
  });

  it.each([
    ['', 'by'],
    ['by=minute', 'by'],
    ['by=day&by=day', 'by'],
    ['by=day&limit=1', 'limit'],
    ['by=day&ip=x', 'ip'],
  ])('are refused by name: %s', (text, name) => {
    expect(counted(text)).toEqual(err({ kind: 'invalid_request', errors: { [name]: [expect.any(String)] } }));
  });
});

describe('a filter', () => {
  const filterOf = (text: string) => {
    const parsed = query(text);
    return parsed.ok ? parsed.value.filter : parsed.error;
  };

  it.each([
    ['an action', 'audit.count', ['audit.count'], []],
    ['a noun', 'audit.*', AUDIT_ACTIONS.filter((action) => action.startsWith('audit.')), []],
    ['all but an action', '!audit.count', [], ['audit.count']],
    ['a noun but for one of its actions', 'status.*,!status.read', ['status.read'], ['status.read']],
  ])('names actions by %s', (_case, text, actions, except) => {
    expect(filterOf(`action=${text}`)).toMatchObject({ actions, except });
  });

  it('refuses an action that there is not, and says which there are', () => {
    const told = JSON.stringify(filterOf('action=audit.query,audit.forget'));
    for (const name of [...AUDIT_ACTIONS, 'audit.*', 'service_account_token.*']) expect(told).toContain(name);
  });

  it.each([
    ['token_name', 'x'.repeat(TOKEN_NAME_MAX_BYTES), true],
    ['token_name', 'x'.repeat(TOKEN_NAME_MAX_BYTES + 1), false],
    ['token_name', 'a\u0007b', false],
    ['token_name', '', false],
    ['actor', 'a\u0007b', false],
    ['actor', '', false],
    ['actor', 'x'.repeat(ACTOR_MAX_BYTES), true],
    ['actor', 'x'.repeat(ACTOR_MAX_BYTES + 1), false],
    ['scope', 'api:read', true],
    ['scope', 'no scope', false],
    ['workspace_uuid', 'no id', false],
    ['from', 'yesterday', false],
  ])('takes a text that a row may hold, and no other: %s %j', (name, text, isTaken) => {
    expect('kind' in filterOf(new URLSearchParams({ [name]: text }).toString())).toBe(!isTaken);
  });

  it('means the caller by "me"', () => {
    expect(filterOf('actor=me')).toEqual({ ...NO_FILTER, own: CALLER });
  });

  it.each(['actor', 'policy_version'])('is refused with a secret, which would be stored: %s', (name) => {
    const secret = `sat_${'a1B2'.repeat(10)}`;
    const errors = { [name]: [expect.stringContaining('Leave out')] };
    expect(query(new URLSearchParams({ [name]: secret }).toString())).toEqual(
      err({ kind: 'validation_failed', errors }),
    );
  });

  it('may have one end alone', () => {
    expect(filterOf('from=2026-01-01T00:00:00Z')).toMatchObject({ fromMs: FILTER.fromMs, toMs: null });
    expect(filterOf('to=1970-01-01T00:00:00Z')).toMatchObject({ fromMs: null, toMs: 0 });
  });

  it('is refused where it ends before it begins', () => {
    expect(filterOf(`from=${EVERY.to}&to=${EVERY.to}`)).toMatchObject({ errors: { to: [expect.any(String)] } });
  });
});

describe('what the row of a query says', () => {
  it('of its filter: what was asked for, and nothing of what was not', () => {
    const { action: _action, token_id: _id, workspace_uuid: _workspace, ...others } = EVERY;
    const detail = {
      ...others,
      action: ['audit.query'],
      from: '2026-01-01T00:00:00.000Z',
      to: '2026-01-02T00:00:00.000Z',
    };
    expect(filterDetail(FILTER)).toEqual(detail);
    expect(filterDetail(NO_FILTER)).toEqual({});
    expect(filterDetail({ ...NO_FILTER, own: CALLER })).toEqual({ actor: 'me' });
  });

  it('of its actions: the shorter list, of those that match or of those that do not', () => {
    const [first, ...rest] = AUDIT_ACTIONS;
    expect(filterDetail({ ...NO_FILTER, actions: rest })).toEqual({ action: [`!${first}`] });
    expect(filterDetail({ ...NO_FILTER, except: rest })).toEqual({ action: [first] });
    const half = AUDIT_ACTIONS.slice(0, Math.floor(AUDIT_ACTIONS.length / 2));
    expect(filterDetail({ ...NO_FILTER, actions: half })).toEqual({ action: half });
    expect(filterDetail({ ...NO_FILTER, actions: AUDIT_ACTIONS })).toEqual({});
  });

  it.each([
    ['asc', null, { order: 'asc' }],
    ['asc', 7, { order: 'asc', after_seq: 7 }],
    ['desc', null, {}],
    ['desc', 7, { before_seq: 7 }],
  ] as const)('of where it begins: %s after %s', (direction, seq, detail) => {
    expect(positionDetail({ direction, seq })).toEqual(detail);
  });

  describe('of long texts', () => {
    const sizeOf = (filter: EventFilter): number => byteLength(JSON.stringify(filterDetail(filter)));
    const long = (actorBytes: number, nameBytes: number): EventFilter => ({
      ...FILTER,
      actor: 'a'.repeat(actorBytes),
      tokenName: 'n'.repeat(nameBytes),
    });
    const rest = sizeOf(long(1, 1)) - 2;
    const room = AUDIT_FILTER_DETAIL_MAX_BYTES - rest;

    it('all, as long as it fits, to the byte', () => {
      const filter = long(room - 90, 90);
      expect(sizeOf(filter)).toBe(AUDIT_FILTER_DETAIL_MAX_BYTES);
      expect(filterDetail(filter)).toMatchObject({ actor: filter.actor, token_name: filter.tokenName });
    });

    it('the beginning: of the name as much as is always kept, of the actor all that fits', () => {
      const filter = long(room - 89, 90);
      expect(filterDetail(filter)).toMatchObject({
        actor: filter.actor,
        token_name: 'n'.repeat(AUDIT_FILTER_TEXT_LEAST_BYTES),
      });
      const longer = long(room + 50, 90);
      expect(filterDetail(longer)).toMatchObject({
        actor: 'a'.repeat(room - AUDIT_FILTER_TEXT_LEAST_BYTES),
        token_name: 'n'.repeat(AUDIT_FILTER_TEXT_LEAST_BYTES),
      });
      expect(sizeOf(longer)).toBe(AUDIT_FILTER_DETAIL_MAX_BYTES);
    });

    it('as much of the actor as is always kept, where escaping takes all the room', () => {
      const filter = { ...long(0, 90), actor: '"'.repeat(2 * room) };
      expect(filterDetail(filter)).toMatchObject({ actor: '"'.repeat(AUDIT_FILTER_TEXT_LEAST_BYTES) });
    });

    it('none where there is none', () => {
      const named = { ...NO_FILTER, tokenName: 'n'.repeat(2 * AUDIT_FILTER_DETAIL_MAX_BYTES) };
      expect(filterDetail(named)).toEqual({ token_name: 'n'.repeat(AUDIT_FILTER_TEXT_LEAST_BYTES) });
      const acted = { ...NO_FILTER, actor: 'a'.repeat(2 * AUDIT_FILTER_DETAIL_MAX_BYTES) };
      expect(sizeOf(acted)).toBe(AUDIT_FILTER_DETAIL_MAX_BYTES);
    });
  });
});
