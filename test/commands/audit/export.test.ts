import { describe, expect, it } from 'vitest';
import { exportAll } from '../../../commands/audit/export.ts';
import { clientOf, cutAfter, event, startTrailServer, textOf, type Reply } from './trail-server.ts';

type Format = 'ndjson' | 'csv';

async function run(format: Format, replies: readonly Reply[]) {
  const server = await startTrailServer(replies);
  const client = clientOf(server.url);
  let written = '';
  const result = await exportAll(client, { status: 'success' }, format, async (text) => {
    await Promise.resolve((written += text));
  }).catch((error: unknown) => error);
  return { result, written, asked: server.asked };
}

const trailer = (count: number, next: string | null = null) => JSON.stringify({ complete: next === null, count, next });
const ndjson = (seqs: readonly number[], end = '') =>
  seqs.map((seq) => `${JSON.stringify(event(seq))}\n`).join('') + end;
/** An event as the service gives it, whole. */
const whole = (seq: number, fields: object = {}) => ({
  ...event(seq),
  settled_at: null,
  last_at: '2026-11-24T03:34:09.301Z',
  actor: { type: 'user', issuer: null, subject: 'alice', label: '=cmd()' },
  workspace_uuid: null,
  token_name: 'a;=1',
  request_id: null,
  ip: null,
  user_agent: null,
  upstream_status: 200,
  detail: { scopes: ['api:read'] },
  ...fields,
});
const ndjsonOf = (events: readonly object[], end: string) =>
  events.map((one) => `${JSON.stringify(one)}\n`).join('') + end;
const HEAD =
  'seq,id,occurred_at,settled_at,action,status,count,last_at,actor_type,actor_issuer,actor_subject,actor_label,workspace_uuid,token_id,token_name,request_id,ip,user_agent,upstream_status,error_code,detail\r\n';
const csvLine = (seq: number) =>
  `${seq},event-${seq},2026-11-24T03:34:09.301Z,,service_account_token.revoke,success,1,2026-11-24T03:34:09.301Z,user,,alice,"'=cmd()",,tok-${seq},"a;'=1",,,,200,,"{""scopes"":[""api:read""]}"\r\n`;

describe('an export from the terminal', () => {
  it('goes on until it is complete and is one file with one end', async () => {
    const { result, written, asked } = await run('ndjson', [
      textOf(ndjson([1, 2], `${trailer(2, 'c2')}\n`)),
      textOf(ndjson([], `${trailer(0, 'c5')}\n`)),
      textOf(ndjson([6], `${trailer(1)}\n`)),
    ]);
    expect(result).toBe(3);
    expect(written).toBe(ndjson([1, 2, 6], `${trailer(3)}\n`));
    expect(asked.map(({ query }) => query)).toEqual([
      { status: 'success', format: 'ndjson' },
      { status: 'success', format: 'ndjson', cursor: 'c2' },
      { status: 'success', format: 'ndjson', cursor: 'c5' },
    ]);
  });

  it('is records and one line of titles in CSV, made of what says that it is whole', async () => {
    const { result, written, asked } = await run('csv', [
      textOf(ndjsonOf([whole(1)], `${trailer(1, 'c1')}\n`)),
      textOf(ndjsonOf([whole(2)], `${trailer(1)}\n`)),
    ]);
    expect([result, written]).toEqual([2, HEAD + csvLine(1) + csvLine(2)]);
    expect(asked.map(({ query }) => query)).toEqual([
      { status: 'success', format: 'ndjson' },
      { status: 'success', format: 'ndjson', cursor: 'c1' },
    ]);
  });

  it('may be empty', async () => {
    const nothing = textOf(`${trailer(0)}\n`);
    expect(await run('csv', [nothing])).toMatchObject({ result: 0, written: HEAD });
    expect(await run('ndjson', [nothing])).toMatchObject({ result: 0, written: `${trailer(0)}\n` });
  });

  it.each([
    ['no JSON', 'nonsense'],
    ['an event without its columns', JSON.stringify(event(1))],
    ['columns of another type', JSON.stringify(whole(1, { count: '1' }))],
    ['a text', '"text"'],
  ])('is no line of CSV if it is %s', async (_what, line) => {
    const { result } = await run('csv', [textOf(`${line}\n${trailer(1)}\n`)]);
    expect(String(result)).toMatch(/^UserError: http:.* does not answer as Countersign does/);
  });
});

describe('an export that is cut is never taken for a whole one', () => {
  it.each<[string, Format, Reply[], number]>([
    ['the connection breaks', 'ndjson', [cutAfter(ndjson([1, 2, 3]))], 2],
    ['it breaks within a line', 'ndjson', [cutAfter(ndjson([1, 2], '{"id":"ev'))], 1],
    ['it breaks within the closing line', 'ndjson', [cutAfter(ndjson([1, 2], '{"complete":tr'))], 1],
    ['it breaks behind the closing line', 'ndjson', [cutAfter(ndjson([1, 2], `${trailer(2)}\n`))], 2],
    ['it ends without a closing line', 'ndjson', [textOf(ndjson([1, 2]))], 1],
    ['its closing line has no end', 'ndjson', [textOf(ndjson([1, 2], trailer(2)))], 1],
    ['something comes behind the closing line', 'ndjson', [textOf(ndjson([1, 2], `${trailer(2)}\n{"id"`))], 2],
    ['its closing line counts others', 'ndjson', [textOf(ndjson([1, 2], `${trailer(3)}\n`))], 2],
    ['nothing comes', 'ndjson', [textOf('')], 0],
    ['a later part breaks', 'ndjson', [textOf(ndjson([1], `${trailer(1, 'c')}\n`)), cutAfter(ndjson([2, 3]))], 2],
    ['it stands still', 'ndjson', [textOf(ndjson([], `${trailer(0, 'c')}\n`))], 0],
    ['the connection breaks, to CSV', 'csv', [cutAfter(ndjsonOf([whole(1), whole(2), whole(3)], ''))], 2],
    ['it breaks within an event, to CSV', 'csv', [cutAfter(ndjsonOf([whole(1), whole(2)], '{"id":"ev'))], 1],
    ['it ends without a closing line, to CSV', 'csv', [textOf(ndjsonOf([whole(1), whole(2)], ''))], 1],
    ['its closing line counts others, to CSV', 'csv', [textOf(ndjsonOf([whole(1)], `${trailer(2)}\n`))], 1],
    [
      'a later part breaks, to CSV',
      'csv',
      [textOf(ndjsonOf([whole(1)], `${trailer(1, 'c')}\n`)), cutAfter(ndjsonOf([whole(2), whole(3)], ''))],
      2,
    ],
  ])('%s', async (_name, format, replies, atMost) => {
    const { result, written } = await run(format, replies);
    expect(String(result)).toMatch(/^CountersignError: The export was cut off after \d+ events\. .* run it again\.$/);
    const lines = written
      .split('\n')
      .slice(0, -1)
      .filter((line) => !line.startsWith('seq,'));
    expect(lines.length).toBeLessThanOrEqual(atMost);
    expect(written).not.toContain('complete');
  });
});
