import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { INSTALLED } from '../../commands/countersign/host.ts';
import { run } from '../../commands/countersign/run.ts';
import { freePorts, startService, type Service } from './service.ts';

// What a security engineer asks the trail, each with one command, on a trail of 100,000 events. docs/audit.md has these very commands.

const DOCUMENT = readFileSync(path.join(import.meta.dirname, '..', '..', 'docs', 'audit.md'), 'utf8');
const ROWS = 100_000;
const DAY_MS = 24 * 60 * 60 * 1_000;
const NOW_MS = Date.now();
const ISSUER = 'https://idp.acme.example';
const POLICY = '3f0c7b1d92e84a56';

/** Sixty days of everyday work of 400 people, who are refused something now and then. */
const EVERYDAY = `
with recursive n(i) as (select 1 union all select i + 1 from n where i < ${ROWS})
insert into audit_events (seq, id, occurred_at, settled_at, action, status, actor_type, actor_issuer, actor_subject, actor_label,
  workspace_uuid, token_id, token_name, error_code, detail, outcome, count)
select i, printf('%08x-0000-4000-8000-000000000000', i), at, at, action, iif(i % 31 = 0, 'failure', 'success'), 'user', '${ISSUER}',
  'person-' || (i * 7919 % 400), 'person-' || (i * 7919 % 400) || '@acme.example', '5877a4ae-0000-4000-8000-000000000001',
  printf('%08x-1111-4000-8000-000000000000', i % 5000), iif(action glob '*create', 'deploy', null), iif(i % 31 = 0, 'forbidden', null),
  iif(action glob '*create', '{"scopes":["api:read"],"policy":"${POLICY}"}', '{"policy":"${POLICY}"}'), '{"role":"ci"}', 1
from (select i, ${NOW_MS - 60 * DAY_MS} + i * ${Math.floor((60 * DAY_MS - 7_200_000) / ROWS)} as at,
  case i % 5 when 0 then 'service_account_token.create' when 1 then 'service_account_token.revoke'
    when 2 then 'service_account_token.update' else 'service_account_token.list' end as action from n)`;

interface Happening {
  readonly agoMs: number;
  readonly who: string;
  readonly action: string;
  readonly token?: string;
  readonly code?: string;
  readonly count?: number;
  readonly detail?: object;
}

const full = { scopes: ['api:full'], policy: POLICY };
const CREATE = 'service_account_token.create';
/** What these questions are about, the oldest first. */
const HAPPENINGS: readonly Happening[] = [
  { agoMs: 20 * DAY_MS, who: 'oscar', action: CREATE, token: 'oscars', detail: full },
  { agoMs: 5 * DAY_MS, who: 'mallory', action: CREATE, token: 'mallorys-1', detail: full },
  { agoMs: 4 * DAY_MS, who: 'eve', action: CREATE, token: 'eves', detail: full, code: 'forbidden' },
  { agoMs: 3 * DAY_MS, who: 'kim', action: CREATE, token: 'kims', detail: { ...full, policy: '00000000000000aa' } },
  { agoMs: 3 * DAY_MS, who: 'robot', action: 'service_account_token.list', code: 'forbidden', count: 700 },
  { agoMs: 2 * DAY_MS, who: 'mallory', action: CREATE, token: 'mallorys-2', detail: full },
  { agoMs: 90 * 60_000, who: 'kim', action: 'service_account_token.update', token: 'kims' },
  { agoMs: 80 * 60_000, who: 'kim', action: 'audit.query', count: 3 },
  { agoMs: 70 * 60_000, who: 'kim', action: 'service_account_token.revoke', token: 'kims' },
];

function seed(stateDir: string): void {
  const folder = path.join(stateDir, 'v3', 'd1', 'miniflare-D1DatabaseObject');
  const files = readdirSync(folder).filter((name) => name.endsWith('.sqlite') && name !== 'metadata.sqlite');
  const database = new DatabaseSync(path.join(folder, files[0] ?? ''), { timeout: 10_000 });
  database.exec(EVERYDAY);
  const insert = database.prepare(
    `insert into audit_events (id, occurred_at, settled_at, action, status, actor_type, actor_issuer, actor_subject, actor_label,
       workspace_uuid, token_id, token_name, error_code, detail, outcome, read_key)
     values (:id, :at, :at, :action, :status, 'user', '${ISSUER}', :subject, :label, null, :token, :name, :code, :detail, '{"role":"admin"}', :key)`,
  );
  // The guards of the trail let only the count of a counted row grow.
  const grow = database.prepare('update audit_events set count = ?, last_at = occurred_at where id = ?');
  for (const { agoMs, who, action, token = null, code = null, count = 1, detail = { policy: POLICY } } of HAPPENINGS) {
    const id = crypto.randomUUID();
    insert.run({
      id,
      at: NOW_MS - agoMs,
      action,
      status: code === null ? 'success' : 'failure',
      subject: who,
      label: `${who}@acme.example`,
      token: token === null ? null : `token-${token}`,
      name: action === CREATE ? token : null,
      code,
      detail: JSON.stringify(detail),
      key: count > 1 ? id : null,
    });
    if (count > 1) grow.run(count, id);
  }
  database.close();
}

const stateDir = mkdtempSync(path.join(tmpdir(), 'countersign-questions-'));
let service: Service;

/** Answers a question as the command does where there is no terminal: a line of JSON for each thing. */
async function ask(line: string): Promise<Record<string, unknown>[]> {
  const documented = line
    .replace('token-kims', '$ID')
    .replace(' --count-by actor', '')
    .replace(/[0-9a-f]{16}/, POLICY);
  expect(DOCUMENT).toContain(`countersign ${documented}`);
  const out = path.join(stateDir, `answer-${crypto.randomUUID()}`);
  const words = line.split(' ').map((word) => word.replaceAll("'", ''));
  await run([...words, '--out', out], INSTALLED, '');
  const lines = readFileSync(out, 'utf8').trimEnd().split('\n');
  return lines.filter((one) => one !== '').map((one) => JSON.parse(one) as Record<string, unknown>);
}

const labels = (events: readonly Record<string, unknown>[]): unknown[] =>
  events.map(({ actor }) => (actor as { label: unknown }).label);

beforeAll(async () => {
  service = await startService(stateDir, await freePorts());
  seed(stateDir);
  vi.stubEnv('COUNTERSIGN_URL', service.url);
  vi.stubEnv('COUNTERSIGN_JWT', service.adminJwt);
}, 120_000);
afterAll(() => {
  vi.unstubAllEnvs();
  service.cleanUp();
  rmSync(stateDir, { recursive: true, force: true });
});

it('who minted api:full last week?', async () => {
  const question = 'audit --action service_account_token.create --status success --scope api:full --since 7d';
  const events = await ask(question);
  expect(labels(events)).toEqual(['mallory@acme.example', 'kim@acme.example', 'mallory@acme.example']);
  expect(events.map(({ token_name }) => token_name)).toEqual(['mallorys-2', 'kims', 'mallorys-1']);
  expect(await ask(`${question} --count-by actor`)).toEqual([
    { key: `${ISSUER}|mallory`, count: 2, label: 'mallory@acme.example' },
    { key: `${ISSUER}|kim`, count: 1, label: 'kim@acme.example' },
  ]);
});

it('who is denied most?', async () => {
  const [first, ...others] = await ask('audit counts --by actor --code forbidden --since 7d');
  expect(first).toEqual({ key: `${ISSUER}|robot`, count: 700, label: 'robot@acme.example' });
  const counts = others.map(({ count }) => Number(count));
  expect(counts.length).toBeGreaterThan(10);
  expect(counts).toEqual(counts.toSorted((one, other) => other - one));
});

it('what did somebody do before leaving?', async () => {
  const events = await ask("audit --actor kim@acme.example --action '!audit.*' --limit 20");
  expect(events.map(({ action, token_id }) => [action, token_id])).toEqual([
    ['service_account_token.revoke', 'token-kims'],
    ['service_account_token.update', 'token-kims'],
    [CREATE, 'token-kims'],
  ]);
});

it('which policy allowed it?', async () => {
  const [event, ...more] = await ask('audit --token-id token-kims --action service_account_token.create');
  expect(more).toEqual([]);
  expect(event).toMatchObject({ detail: { policy: '00000000000000aa', role: 'admin' } });
  expect(labels(await ask('audit --policy-version 00000000000000aa --status success'))).toEqual(['kim@acme.example']);
});

it('who read the trail?', async () => {
  const counts = await ask("audit --action 'audit.*' --since 1d --count-by actor");
  expect(counts).toContainEqual({ key: `${ISSUER}|kim`, count: 3, label: 'kim@acme.example' });
  // Whoever asks is in the answer to the next question.
  expect(counts.some(({ key }) => String(key).endsWith('|local-admin'))).toBe(true);
});
it('who is blocked?', async () => {
  const out = path.join(stateDir, 'receipt');
  await run(['revoke', '--label', 'kim@acme.example', '--reason', 'INC-7: left', '--out', out], INSTALLED, '');
  expect(await ask('subjects --blocked')).toMatchObject([
    { label: 'kim@acme.example', blocks: [{ by: 'label', reason: 'INC-7: left' }] },
  ]);
});
