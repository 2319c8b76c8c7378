import { DatabaseSync } from 'node:sqlite';
import { beforeEach, describe, expect, it } from 'vitest';
import { newWorkspace, storedSpellingsOf } from '../support/spellings.ts';
import { MIGRATIONS, statementsOf } from './migrations.ts';

// What an earlier version kept of one workspace under several spellings is merged, once and for all.

const MIGRATION = MIGRATIONS.find((name) => name.endsWith('one_workspace_spelling.sql')) ?? '';

const W = newWorkspace();
const CAPITALS = W.toUpperCase();
const PLAIN = W.replaceAll('-', '');
const MIXED = `${CAPITALS.slice(0, 18)}${W.slice(18)}`;
const OTHER = newWorkspace();

type Row = Readonly<Record<string, string | number | null>>;

let database: DatabaseSync;
beforeEach(() => {
  database = new DatabaseSync(':memory:');
  for (const statement of MIGRATIONS.slice(0, MIGRATIONS.indexOf(MIGRATION)).flatMap(statementsOf))
    database.exec(statement);
});
const migrate = (): void => {
  for (const statement of statementsOf(MIGRATION)) database.exec(statement);
};
const insert = (table: string, row: Row): void => {
  const columns = Object.keys(row);
  const sql = `insert into ${table} (${columns.join(', ')}) values (${columns.map(() => '?').join(', ')})`;
  database.prepare(sql).run(...Object.values(row));
};
const all = (sql: string): Row[] =>
  database
    .prepare(sql)
    .all()
    .map((row) => ({ ...row }) as Row);
const everything = (): unknown =>
  Object.fromEntries(
    all(`select name from sqlite_master where type = 'table' and name not like 'sqlite_%' order by name`).map(
      ({ name }) => [name, all(`select * from ${String(name)}`)],
    ),
  );

const token = (workspace: string, id: string, row: Row = {}): void =>
  insert('tokens', { workspace_uuid: workspace, token_id: id, created_at: 100, ...row });
const MADE = {
  owner_issuer: 'https://issuer.example',
  owner_subject: 'ci',
  owner_label: 'ci@acme.example',
  marker: '-csgn-abc',
  create_event_id: 'made',
  created_at: 50,
  expires_at: 9_000,
  token_prefix: 'sat_made',
  fingerprint: 'f',
  fingerprint_key_id: 'k1',
};
const FOUND = { create_event_id: 'found', created_at: 60, expires_at: 8_000, token_prefix: 'sat_found' };
const tokensNow = (columns: string): Row[] =>
  all(`select workspace_uuid, ${columns} from tokens order by workspace_uuid, token_id`);

describe('tokens', () => {
  it.each(Object.entries(storedSpellingsOf(W)))('%s get the one spelling, and keep all else', (_name, spelling) => {
    token(spelling, 't', { ...MADE, unseen_at: 70, suspended_by: '["owner"]' });
    const [{ workspace_uuid: _spelled, ...before } = {}] = all('select * from tokens');
    migrate();
    expect(all('select * from tokens')).toEqual([{ workspace_uuid: W, ...before }]);
  });

  it.each([
    ['found first', W, CAPITALS],
    ['made first', CAPITALS, W],
    ['in two spellings that are not the one', CAPITALS, PLAIN],
  ])('that were made under one spelling and found under another are their owner’s: %s', (_name, found, made) => {
    token(found, 't', FOUND);
    token(made, 't', MADE);
    migrate();
    expect(all('select * from tokens')).toMatchObject([{ workspace_uuid: W, ...MADE }]);
  });

  it('that nobody here made stay nobody’s', () => {
    token(CAPITALS, 't', FOUND);
    token(PLAIN, 't', { ...FOUND, created_at: 40, create_event_id: 'first' });
    migrate();
    const nobodys = { owner_issuer: null, create_event_id: 'first', created_at: 40, fingerprint: null };
    expect(all('select * from tokens')).toMatchObject([{ workspace_uuid: W, ...nobodys }]);
  });

  it.each<[string, Row, Row, Row]>([
    [
      'an end that PipeOps acknowledged',
      { revoked_at: 5, ended_by: 'acknowledged' },
      {},
      { revoked_at: 5, ended_by: 'acknowledged' },
    ],
    [
      'an absence that is proven',
      { revoked_at: 5, ended_by: 'absent', unseen_at: 3 },
      { unseen_at: 4 },
      { revoked_at: 5, ended_by: 'absent', unseen_at: 3 },
    ],
    [
      'what was acknowledged before what was only seen',
      { revoked_at: 9, ended_by: 'acknowledged' },
      { revoked_at: 5, ended_by: 'absent' },
      { revoked_at: 9, ended_by: 'acknowledged' },
    ],
    ['what a list said', { revoked_at: 5, ended_by: 'listed' }, {}, { revoked_at: 5, ended_by: 'listed' }],
    ['life, where one list only lacked it', { revoked_at: 5 }, {}, { revoked_at: null, ended_by: null }],
    [
      'the earlier of two ends that nobody proved',
      { revoked_at: 5 },
      { revoked_at: 7 },
      { revoked_at: 5, ended_by: null },
    ],
    ['having been seen', { unseen_at: 5 }, {}, { unseen_at: null, revoked_at: null }],
    ['the later of two first absences', { unseen_at: 5 }, { unseen_at: 7 }, { unseen_at: 7 }],
  ])('keep %s', (_name, one, other, expected) => {
    token(CAPITALS, 't', { ...MADE, ...one });
    token(W, 't', { ...FOUND, ...other });
    token(CAPITALS, 'u', { ...FOUND, ...other });
    token(W, 'u', { ...MADE, ...one });
    migrate();
    expect(tokensNow('token_id, revoked_at, ended_by, unseen_at')).toMatchObject([
      { workspace_uuid: W, token_id: 't', ...expected },
      { workspace_uuid: W, token_id: 'u', ...expected },
    ]);
  });

  it.each([
    ['of both rows', '["owner"]', '["offboarding","owner"]', ['offboarding', 'owner']],
    ['of one', null, '["leak"]', ['leak']],
    ['of a version that wrote the delivery there', 'd-1', null, ['offboarding']],
  ])('keep every reason for which they are suspended: %s', (_name, one, other, reasons) => {
    token(CAPITALS, 't', { suspended_by: one });
    token(W, 't', { suspended_by: other });
    migrate();
    expect((JSON.parse(String(tokensNow('suspended_by')[0]?.['suspended_by'])) as string[]).toSorted()).toEqual(
      reasons,
    );
  });

  it('keep a fingerprint with its key, whoever’s row has it', () => {
    token(CAPITALS, 't', { ...MADE, fingerprint: null, fingerprint_key_id: null, token_prefix: null });
    token(W, 't', { ...FOUND, fingerprint: 'g', fingerprint_key_id: 'k2' });
    migrate();
    expect(tokensNow('owner_subject, fingerprint, fingerprint_key_id, token_prefix')).toMatchObject([
      { owner_subject: 'ci', fingerprint: 'g', fingerprint_key_id: 'k2', token_prefix: 'sat_found' },
    ]);
  });

  it('of other workspaces, of other ids and of ids that are no UUIDs stay as they are', () => {
    token(CAPITALS, 't', MADE);
    token(W, 'other', FOUND);
    token(OTHER, 't', FOUND);
    for (const opaque of ['Shop', 'shop', 'ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF', W.slice(1), `${CAPITALS}0`])
      token(opaque, 't', FOUND);
    const untouched = all(
      `select * from tokens where workspace_uuid <> '${CAPITALS}' order by workspace_uuid, token_id`,
    );
    migrate();
    const now = all(
      `select * from tokens where not (workspace_uuid = '${W}' and token_id = 't') order by workspace_uuid, token_id`,
    );
    expect(now).toEqual(untouched);
    expect(all(`select owner_subject from tokens where workspace_uuid = '${W}' and token_id = 't'`)).toEqual([
      { owner_subject: 'ci' },
    ]);
  });
});

describe('a workspace', () => {
  const workspace = (spelling: string, row: Row): void =>
    insert('workspaces', { workspace_uuid: spelling, generation: 0, lease_until: 0, ...row });

  it('has a generation above all that it had, no lease, and the state of its last list', () => {
    workspace(W, {
      generation: 3,
      lease_generation: 3,
      lease_until: 99,
      lease_holder: 'h',
      list_state: 'partial',
      list_state_at: 10,
      listed_at: 8,
    });
    workspace(CAPITALS, { generation: 7, list_state: 'complete', list_state_at: 20, listed_at: 5 });
    workspace(PLAIN, { generation: 1, lease_until: 50 });
    workspace(OTHER, { generation: 2, lease_generation: 2, lease_until: 99, lease_holder: 'h' });
    migrate();
    expect(all(`select * from workspaces where workspace_uuid <> '${OTHER}'`)).toEqual([
      {
        workspace_uuid: W,
        generation: 8,
        lease_generation: -1,
        lease_until: 0,
        lease_holder: null,
        lease_changed: null,
        listed_at: 8,
        list_state: 'complete',
        list_state_at: 20,
      },
    ]);
    expect(all(`select generation, lease_holder from workspaces where workspace_uuid = '${OTHER}'`)).toEqual([
      { generation: 2, lease_holder: 'h' },
    ]);
  });

  it('of one odd spelling is renamed, and its generation raised all the same', () => {
    workspace(MIXED, { generation: 4 });
    migrate();
    expect(all('select workspace_uuid, generation from workspaces')).toEqual([{ workspace_uuid: W, generation: 5 }]);
  });

  it('has no list from before, whichever spelling that was of', () => {
    for (const spelling of [W, CAPITALS, PLAIN, OTHER, 'Shop']) {
      insert('snapshots', { workspace_uuid: spelling, generation: 9, begun_at: 1, body: '{}' });
    }
    migrate();
    expect(
      all('select workspace_uuid from snapshots order by workspace_uuid').map((row) => row['workspace_uuid']),
    ).toEqual(['Shop', OTHER]);
  });

  it('is left alone for as long as PipeOps said last', () => {
    const limits = { [W]: 10, [CAPITALS]: 30, [PLAIN]: 20, [OTHER]: 5, all: 7, minute: 8 };
    for (const [scope, until] of Object.entries(limits)) insert('upstream_limits', { scope, until, remaining: null });
    migrate();
    const kept = Object.fromEntries(
      all('select scope, until from upstream_limits').map((row) => [row['scope'], row['until']]),
    );
    expect(kept).toEqual({ [W]: 30, [OTHER]: 5, all: 7, minute: 8 });
  });
});

describe('orders and what deliveries named', () => {
  const order = (id: string, workspace: string, row: Row = {}): void =>
    insert('revocation_orders', {
      id,
      cause: 'command',
      delivery_id: 'd',
      workspace_uuid: workspace,
      token_id: 't',
      mode: 'revoke',
      rank: 1,
      state: 'open',
      created_at: 1,
      ...row,
    });

  it('all stay, in the one spelling', () => {
    order('a', CAPITALS, { next_at: 4 });
    order('b', W, { state: 'confirmed', confirmed_at: 9 });
    order('c', PLAIN, { delivery_id: null, cause: 'leak', rank: 0 });
    order('d', OTHER);
    const before = all('select * from revocation_orders order by id');
    migrate();
    const spelled = before.map((row) => ({ ...row, workspace_uuid: row['id'] === 'd' ? OTHER : W }));
    expect(all('select * from revocation_orders order by id')).toEqual(spelled);
  });

  it('items are in it too; one without a workspace has none', () => {
    const item = (position: number, workspace_uuid: string | null): void =>
      insert('webhook_items', { delivery_id: 'd', position, found: 'matched', workspace_uuid, token_id: 't' });
    item(0, CAPITALS);
    item(1, null);
    item(2, 'Shop');
    item(3, PLAIN);
    migrate();
    const now = all('select workspace_uuid from webhook_items order by position').map((row) => row['workspace_uuid']);
    expect(now).toEqual([W, null, 'Shop', W]);
  });
});

describe('the migration', () => {
  const event = (id: string, workspace: string | null): void =>
    insert('audit_events', {
      id,
      occurred_at: 1,
      settled_at: 1,
      action: 'service_account_token.get',
      status: 'success',
      actor_type: 'user',
      workspace_uuid: workspace,
      detail: '{}',
      outcome: '{}',
    });
  const spelledOtherwise = [CAPITALS, PLAIN, MIXED, `${W.slice(0, 4)}-${W.slice(4)}`];

  it('leaves the trail as it was written, guarded as before, and finds what is spelled otherwise', () => {
    for (const [index, spelling] of [W, ...spelledOtherwise, 'Shop', null].entries()) event(`e${index}`, spelling);
    const before = all('select * from audit_events');
    const guards = `select name, sql from sqlite_master where type = 'trigger' order by name`;
    const guardsBefore = all(guards);
    migrate();
    expect(all('select * from audit_events')).toEqual(before);
    expect(all(guards)).toEqual(guardsBefore);
    const found = all(`select workspace_uuid from audit_events indexed by audit_events_respelled
      where (workspace_uuid <> lower(workspace_uuid) or workspace_uuid not glob '????????-????-????-????-????????????')
        and length(replace(workspace_uuid, '-', '')) = 32 and lower(replace(workspace_uuid, '-', '')) = '${PLAIN}' order by seq`);
    expect(found.map((row) => row['workspace_uuid'])).toEqual(spelledOtherwise);
    expect(() => database.exec(`update audit_events set workspace_uuid = '${W}' where id = 'e1'`)).toThrow(
      'audit_events: ',
    );
  });

  const fill = (): void => {
    for (const spelling of [W, ...spelledOtherwise, OTHER, 'Shop']) {
      token(spelling, 't', spelling === PLAIN ? MADE : FOUND);
      insert('workspaces', { workspace_uuid: spelling, generation: 3, lease_until: 0 });
      insert('snapshots', { workspace_uuid: spelling, generation: 3, begun_at: 1, body: '{}' });
      insert('upstream_limits', { scope: spelling, until: 9 });
    }
    event('e', CAPITALS);
  };

  it('leaves no odd spelling outside of the trail, and nothing of its own', () => {
    fill();
    migrate();
    for (const [table, column] of [
      ['tokens', 'workspace_uuid'],
      ['workspaces', 'workspace_uuid'],
      ['snapshots', 'workspace_uuid'],
      ['upstream_limits', 'scope'],
    ] as const) {
      const values = all(`select ${column} as v from ${table}`).map(({ v }) => v);
      expect(values.filter((value) => ![W, OTHER, 'Shop'].includes(String(value)))).toEqual([]);
    }
    expect(all(`select name from sqlite_master where name like '%respelled%'`)).toEqual([
      { name: 'audit_events_respelled' },
    ]);
  });

  it('changes nothing a second time', () => {
    fill();
    migrate();
    const once = everything();
    migrate();
    expect(everything()).toEqual(once);
  });

  it('merges once more what an earlier version that still ran has written since', () => {
    fill();
    migrate();
    token(CAPITALS, 'late', MADE);
    insert('workspaces', { workspace_uuid: CAPITALS, generation: 1, lease_until: 0 });
    migrate();
    expect(tokensNow('token_id, owner_subject').filter((row) => row['token_id'] === 'late')).toEqual([
      { workspace_uuid: W, token_id: 'late', owner_subject: 'ci' },
    ]);
    expect(all(`select generation from workspaces where workspace_uuid = '${W}'`)).toEqual([{ generation: 5 }]);
  });

  it('goes on where a run of it broke off', () => {
    fill();
    for (const statement of statementsOf(MIGRATION).slice(0, 5)) database.exec(statement);
    migrate();
    const partly = everything();
    database = new DatabaseSync(':memory:');
    for (const statement of MIGRATIONS.slice(0, MIGRATIONS.indexOf(MIGRATION)).flatMap(statementsOf))
      database.exec(statement);
    fill();
    migrate();
    expect(partly).toEqual(everything());
  });

  it('of an empty database leaves it empty', () => {
    const before = everything();
    migrate();
    expect(everything()).toEqual(before);
  });
});
