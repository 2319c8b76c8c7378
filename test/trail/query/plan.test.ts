import { env } from 'cloudflare:workers';
import { and, asc, eq, gte, type SQL } from 'drizzle-orm';
import { beforeAll, describe, expect, it } from 'vitest';
import { ACTOR_LABEL_MAX_BYTES } from '../../../src/config/limits.ts';
import { TOKEN_PREFIX_MERGED_TOKENS } from '../../../src/config/trail-limits.ts';
import { createDatabase } from '../../../src/db/database.ts';
import { auditEvents } from '../../../src/db/schema.ts';
import { newTrace } from '../../../src/kit/trace.ts';
import { type EventFilter, NO_FILTER } from '../../../src/trail/query/filter.ts';
import { mayComeToMatch, notOwnQueries, planOf } from '../../../src/trail/query/plan.ts';
import { AUDIT_ACTIONS, type AuditAction } from '../../../src/vocabulary.ts';
import { workerRuntime } from '../../../src/worker-runtime.ts';
import { insertRows, OPEN } from './trail.ts';

const OWN = { issuer: 'https://issuer.example', subject: 'alice' };
const UUID = 'e4e00000-0000-4000-8000-000000000001';
/** The actions whose events may name a scope or a role. */
const GRANTS: readonly AuditAction[] = [
  'service_account_token.create',
  'service_account_token.update',
  'service_account_token.revoke',
  'service_account_token.expiring',
];

describe('a filter is looked up where that picks the fewest rows, and what is left of it is checked', () => {
  const index = (name: string): string => `audit_events_${name}`;
  const both = { tokenId: 't', status: 'failure', fromMs: 1 } as const;

  it.each<[string, Partial<EventFilter>, readonly (string | null)[], number]>([
    ['nothing', {}, [null], 0],
    ['a request', { requestId: 'r' }, [index('request_id')], 0],
    ['a token', { tokenId: 't' }, [index('token_id')], 0],
    ['the name of a token', { tokenName: 'n' }, [index('token_name')], 0],
    [
      'the beginning of a secret: some tokens one by one, and the rest',
      { tokenPrefix: 'sat_' },
      Array.from({ length: TOKEN_PREFIX_MERGED_TOKENS + 1 }, () => index('token_id')),
      0,
    ],
    ['a code', { code: 'forbidden' }, [index('error_code')], 0],
    ['a subject or a label', { actor: 'alice' }, [index('actor_subject'), index('actor_label')], 0],
    ['an issuer and a subject', { actor: 'https://x|alice' }, [index('actor_subject')], 0],
    ['no issuer and no subject', { actor: '|' }, [null], 1],
    ['an issuer and no subject', { actor: 'https://x|' }, [null], 1],
    ['a workspace', { workspaceUuid: 'ws-1' }, [index('workspace_uuid')], 0],
    ['a workspace that is a UUID', { workspaceUuid: UUID }, [index('workspace_uuid'), index('respelled')], 0],
    ['an action', { actions: ['auth.reject'] }, [index('action')], 0],
    ['two actions', { actions: ['auth.reject', 'audit.query'] }, [index('action'), index('action')], 0],
    ['all actions', { actions: AUDIT_ACTIONS }, [null], 0],
    ['no action', { actions: ['auth.reject'], except: ['auth.reject'] }, [null], 0],
    ['a status', { status: 'failure' }, [null], 1],
    ['a type of actor', { actorType: 'user' }, [null], 1],
    ['an address', { ip: '192.0.2.1' }, [null], 1],
    ['a version of the policy', { policyVersion: '0'.repeat(16) }, [null], 1],
    ['a time on', { fromMs: 0 }, [null], 1],
    ['until a time', { toMs: 0 }, [null], 1],
    ['a request and a token', { requestId: 'r', tokenId: 't' }, [index('request_id')], 1],
    ['a token and its name', { tokenId: 't', tokenName: 'n' }, [index('token_id')], 1],
    ['a name and a code', { tokenName: 'n', code: 'forbidden' }, [index('token_name')], 1],
    ['a code and a workspace', { code: 'forbidden', workspaceUuid: 'ws-1' }, [index('error_code')], 1],
    ['an actor and an action', { actor: 'https://x|a', actions: ['auth.reject'] }, [index('actor_subject')], 1],
    ['a workspace and an action', { workspaceUuid: 'ws-1', actions: ['auth.reject'] }, [index('workspace_uuid')], 1],
    ['an action and a status', { actions: ['auth.reject'], status: 'failure' }, [index('action')], 1],
    ['a token, a status and a time', both, [index('token_id')], 2],
    ['the caller itself', { own: OWN }, [index('actor_subject')], 1],
    ['the caller itself and each kind of filter', { own: OWN, ...both }, [index('actor_subject')], 4],
  ])('%s', (_name, filter, indexes, checks) => {
    const plan = planOf({ ...NO_FILTER, ...filter });
    expect(plan.branches.map((branch) => branch.index)).toEqual(indexes);
    expect(plan.checks).toHaveLength(checks);
    // The list of actions that its branches refer to.
    expect(plan.expressions).toHaveLength(indexes.includes(index('action')) ? 1 : 0);
  });

  it.each<[string, Partial<EventFilter>]>([
    ['a scope', { scope: 'api:read' }],
    ['a role', { role: 'ci' }],
  ])('%s leaves out the actions that grant nothing', (_name, filter) => {
    const asked = planOf({ ...NO_FILTER, ...filter });
    expect(asked.branches.length).toBeLessThan(AUDIT_ACTIONS.length);
    expect(asked.branches.length).toBeGreaterThanOrEqual(GRANTS.length);
    expect(asked.checks).toHaveLength(1);
    for (const action of GRANTS) {
      expect(planOf({ ...NO_FILTER, ...filter, actions: [action, 'audit.query'] }).branches).toHaveLength(1);
    }
    expect(planOf({ ...NO_FILTER, actions: ['audit.query'], ...filter }).branches[0].where).toEqual(
      planOf({ ...NO_FILTER, actions: ['audit.query'], except: ['audit.query'] }).branches[0].where,
    );
  });
});

describe('rows of the trail', () => {
  const database = createDatabase(env.DB, workerRuntime);
  const NOW_MS = Date.UTC(2026, 0, 1);
  const OTHER_ISSUER = 'https://other.example';
  /** A subject of which a label is a part. */
  const LONG = 'a'.repeat(ACTOR_LABEL_MAX_BYTES + 1);
  const attempt = {
    ...OPEN,
    action: 'service_account_token.create',
    occurred_at: NOW_MS,
    actor_type: 'user',
    actor_issuer: OWN.issuer,
    actor_subject: OWN.subject,
    token_name: 'deploy',
    workspace_uuid: 'ws-1',
    ip: '192.0.2.1',
    detail: '{"scopes":["api:write"],"reason":"api:read"}',
  } as const;
  const revoke = { ...attempt, action: 'service_account_token.revoke' } as const;
  const ownQuery = { action: 'audit.query', actor_issuer: OWN.issuer, actor_subject: OWN.subject } as const;
  const TRAIL = {
    create: attempt,
    revoke: { ...revoke, token_id: 'tok-1' },
    ofNamesakes: { ...revoke, token_id: 'tok-4' },
    ofBobs: { ...revoke, token_id: 'tok-5' },
    byBob: { ...revoke, token_id: 'tok-2', actor_subject: 'bob' },
    byNamesake: { ...attempt, actor_issuer: OTHER_ISSUER },
    byNobody: { ...attempt, actor_issuer: null, actor_subject: null },
    byIssuer: { ...attempt, actor_subject: null },
    byLong: { ...ownQuery, actor_subject: LONG, actor_label: LONG.slice(0, -1) },
    ownQuery,
    queryOfBob: { ...ownQuery, actor_subject: 'bob' },
    queryOfNamesake: { ...ownQuery, actor_issuer: OTHER_ISSUER },
  } as const;
  type Name = keyof typeof TRAIL;
  const NAMES = Object.keys(TRAIL) as Name[];
  const QUERIES: readonly Name[] = ['byLong', 'ownQuery', 'queryOfBob', 'queryOfNamesake'];
  const names = new Map<number, Name>();

  beforeAll(async () => {
    const seqs = await insertRows(Object.values(TRAIL));
    for (const [at, name] of NAMES.entries()) names.set(seqs[at]!, name);
    await env.DB.batch(
      (
        [
          ['tok-1', 'sat_one', OWN.issuer, OWN.subject],
          ['tok-2', 'sat_one', OWN.issuer, 'bob'],
          ['tok-3', 'sat_two', OWN.issuer, OWN.subject],
          ['tok-4', 'sat_four', OTHER_ISSUER, OWN.subject],
          ['tok-5', 'sat_five', OWN.issuer, 'bob'],
        ] as const
      ).map((values) =>
        env.DB.prepare(
          `insert into tokens (workspace_uuid, token_id, token_prefix, owner_issuer, owner_subject, created_at) values ('ws-1', ?, ?, ?, ?, 1)`,
        ).bind(...values),
      ),
    );
  });

  async function seqsOf(condition: SQL | undefined): Promise<readonly number[]> {
    const { build } = database;
    const rows = build
      .select({ seq: auditEvents.seq })
      .from(auditEvents)
      .where(condition)
      .orderBy(asc(auditEvents.seq));
    const read = await database.batch({ trace: newTrace() }, [rows]);
    if (!read.ok) throw new Error(`D1 ${read.error}`);
    return read.value[0].map(({ seq }) => seq);
  }
  const namesOf = async (condition: SQL | undefined): Promise<readonly Name[]> =>
    (await seqsOf(condition)).flatMap((seq) => names.get(seq) ?? []);

  const attempts = NAMES.filter((name) => !QUERIES.includes(name));
  const creates: readonly Name[] = ['create', 'byNamesake', 'byNobody', 'byIssuer'];
  it.each<[string, Partial<EventFilter>, readonly Name[]]>([
    ['anything', {}, attempts],
    ['a status, which settling gives', { status: 'success' }, attempts],
    ['a code, which settling gives', { code: 'forbidden' }, attempts],
    ['a role, which settling gives', { role: 'ci' }, attempts],
    ['a scope, which PipeOps gives', { scope: 'api:full' }, attempts],
    ['a token, which a create is given', { tokenId: 'tok-1' }, ['create', 'revoke', ...creates.slice(1)]],
    [
      'a token of a prefix, which a create is given',
      { tokenPrefix: 'sat_one' },
      ['create', 'revoke', 'byBob', ...creates.slice(1)],
    ],
    ['a token of another prefix', { tokenPrefix: 'sat_two' }, creates],
    ['its own action', { actions: ['service_account_token.create'] }, creates],
    ['no other workspace', { workspaceUuid: 'ws-2' }, []],
    ['no other name of a token', { tokenName: 'other' }, []],
    ['no other address', { ip: '192.0.2.9' }, []],
    ['no other time', { fromMs: NOW_MS + 1 }, []],
    ['its time', { fromMs: NOW_MS, toMs: NOW_MS + 1 }, attempts],
    ['no time that ends with its own', { toMs: NOW_MS }, []],
    ['nobody, where nobody made it', { actor: '|' }, ['byNobody']],
    ['an issuer alone, where no subject of it made it', { actor: `${OWN.issuer}|` }, ['byIssuer']],
    ['no other caller', { own: OWN }, ['create', 'revoke', 'ofNamesakes', 'ofBobs']],
    ['the caller’s own tokens of a prefix', { own: OWN, tokenPrefix: 'sat_one' }, ['create', 'revoke']],
    ['no prefix of a namesake’s token', { own: OWN, tokenPrefix: 'sat_four' }, ['create']],
    ['no prefix of another’s token', { own: OWN, tokenPrefix: 'sat_five' }, ['create']],
  ])('an attempt may come to match %s', async (_name, filter, expected) => {
    const isAttempt = eq(auditEvents.status, 'attempted');
    expect(await namesOf(and(isAttempt, mayComeToMatch({ ...NO_FILTER, ...filter })))).toEqual(expected);
  });

  it('are all but a caller’s own queries', async () => {
    const shown = NAMES.filter((name) => name !== 'ownQuery');
    expect(await namesOf(notOwnQueries(OWN))).toEqual(shown);
  });

  it('are given by one of the two ways to an actor, also where a label is cut from its subject', async () => {
    const { branches } = planOf({ ...NO_FILTER, actor: LONG });
    expect(await Promise.all(branches.map(async ({ where }) => await namesOf(where)))).toEqual([['byLong'], []]);
  });

  it('are of a workspace in any spelling of it, and each is given by one way to it', async () => {
    const spelled = [UUID, UUID.replaceAll('-', '').toUpperCase(), UUID.replaceAll('0', 'A')];
    const [canonical, respelled] = await insertRows(spelled.map((workspace_uuid) => ({ workspace_uuid })));
    const { branches } = planOf({ ...NO_FILTER, workspaceUuid: UUID });
    const given = await Promise.all(branches.map(async ({ where }) => await seqsOf(where)));
    expect(given).toEqual([[canonical], [respelled]]);
  });

  it('have a scope only where it stands among scopes', async () => {
    const scoped = async (scope: string) => await namesOf(and(...planOf({ ...NO_FILTER, scope }).checks));
    expect([await scoped('api:write'), await scoped('api:read')]).toEqual([attempts, []]);
  });

  it('are not searched for a scope one scope at a time, where their text has it nowhere', async () => {
    const scopes = Array.from({ length: 40 }, (_item, index) => `api:${index}`);
    const seqs = await insertRows(
      Array.from({ length: 10 }, () => ({
        action: 'service_account_token.create',
        detail: JSON.stringify({ scopes }),
        outcome: JSON.stringify({ came: { scopes } }),
      })),
    );
    const { build } = database;
    const { checks } = planOf({ ...NO_FILTER, scope: 'api:none' });
    const query = build
      .select({ seq: auditEvents.seq })
      .from(auditEvents)
      .where(and(gte(auditEvents.seq, seqs[0]!), ...checks))
      .toSQL();
    const { results, meta } = await env.DB.prepare(query.sql)
      .bind(...query.params)
      .all();
    expect([results.length, meta.rows_read]).toEqual([0, seqs.length]);
  });
});
