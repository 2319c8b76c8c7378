import { describe, expect, it } from 'vitest';
import { EXPORT_MAX_BYTES, readExport } from '../../console/views/activity/export-file.ts';
import { recordLines } from '../../console/views/activity/links.ts';
import type { AuditEvent } from '../../package/client/types.ts';

const EVENT: AuditEvent = {
  id: 'e1',
  seq: 1,
  occurred_at: '2026-11-28T21:13:44.229Z',
  settled_at: null,
  action: 'service_account_token.revoke',
  status: 'failure',
  count: 1,
  last_at: '2026-11-28T21:13:44.229Z',
  actor: { type: 'user', issuer: 'https://issuer.example', subject: 'kim', label: null },
  workspace_uuid: 'w1',
  token_id: 't/1',
  token_name: '"><img src=x onerror=alert(1)>',
  request_id: 'request-1',
  ip: '::1',
  user_agent: 'javascript:alert(1)',
  upstream_status: 404,
  error_code: 'not_found',
  detail: { delivery_id: 'd1', order_id: 'o1', replaced_by: 't2', role: 'ci', reason: 'e1' },
};

describe('the record of an event', () => {
  const linksOf = (event: AuditEvent) =>
    recordLines(event)
      .flat()
      .filter(({ to }) => to !== null)
      .map(({ text, to }) => [text, to]);

  it('leads to whatever it names, and nowhere else', () => {
    expect(linksOf(EVENT)).toEqual([
      ['e1', '/console/activity/e1'],
      ['service_account_token.revoke', '/console/activity?q=action%3Aservice_account_token.revoke&reads=shown'],
      ['failure', '/console/activity?q=status%3Afailure&reads=shown'],
      ['kim', '/console/activity?q=actor%3Ahttps%3A%2F%2Fissuer.example%7Ckim&reads=shown'],
      ['w1', '/console/activity?q=workspace%3Aw1&reads=shown'],
      ['t/1', '/console/tokens/w1/t%2F1'],
      ['request-1', '/console/activity?q=request%3Arequest-1&reads=shown'],
      ['::1', '/console/activity?q=ip%3A%3A%3A1&reads=shown'],
      ['not_found', '/console/activity?q=code%3Anot_found&reads=shown'],
      // A person has ordered it, and so it has a receipt.
      ['d1', '/console/revocations/d1'],
      ['o1', '/console/activity/o1'],
      ['t2', '/console/tokens/w1/t2'],
      ['ci', '/console/activity?q=role%3Aci&reads=shown'],
    ]);
    const byWebhook = { ...EVENT, actor: { type: 'webhook', issuer: null, subject: 'scanner', label: null } } as const;
    expect(linksOf(byWebhook)).toContainEqual(['d1', '/console/webhooks/d1']);
    expect(linksOf(byWebhook)).toContainEqual(['scanner', '/console/activity?q=actor%3A%7Cscanner&reads=shown']);
  });

  it('is all of it, as JSON', () => {
    const text = recordLines(EVENT)
      .map((pieces) => pieces.map((piece) => piece.text).join(''))
      .join('\n');
    expect(JSON.parse(text)).toEqual(EVENT);
  });
});

describe('an export', () => {
  const bytesOf = (text: string) => new TextEncoder().encode(text);
  const csv = (text: string, headers: Record<string, string> = {}): Response =>
    new Response(text, { headers: { 'Content-Length': String(bytesOf(text).length), ...headers } });
  const next = { Link: '</api/v1/audit/export?format=csv&cursor=c2>; rel="next"' };
  const audit = (answers: Readonly<Record<string, Response>>, lines: readonly string[] = []) => ({
    exportResponse: async ({ cursor = '' }: { readonly cursor?: string | undefined } = {}): Promise<Response> =>
      await Promise.resolve(answers[cursor] ?? new Response('unexpected', { status: 500 })),
    async *exportLines() {
      yield* await Promise.resolve(lines);
    },
  });
  const { signal } = new AbortController();
  const read = async (from: ReturnType<typeof audit>, format: 'csv' | 'ndjson', told: number[] = []): Promise<string> =>
    await (await readExport(from, {}, format, signal, (chars) => told.push(chars))).text();

  it('as CSV has its titles once, however many answers it takes', async () => {
    const answers = { '': csv('seq,id\r\n1,a\r\n', next), c2: csv('seq,id\r\n2,"b\r\nc"\r\n') };
    expect(await read(audit(answers), 'csv')).toBe('seq,id\r\n1,a\r\n2,"b\r\nc"\r\n');
  });

  it('as NDJSON ends with the line that says it is whole', async () => {
    expect(await read(audit({}, ['{"seq":1}', '{"seq":2}']), 'ndjson')).toBe(
      '{"seq":1}\n{"seq":2}\n{"complete":true,"count":2,"next":null}\n',
    );
  });

  it('tells now and then how far it is', async () => {
    const told: number[] = [];
    const line = 'x'.repeat(100_000);
    await read(
      audit(
        {},
        Array.from({ length: 7 }, () => line),
      ),
      'ndjson',
      told,
    );
    expect(told).toEqual([300_003, 600_006]);
  });

  it.each([
    ['is shorter than it says', { '': csv('seq,id\r\n', { 'Content-Length': '9' }) }],
    ['goes on at the same place for ever', { '': csv('seq,id\r\n', next), c2: csv('seq,id\r\n', next) }],
  ])('that %s gives nothing', async (_name, answers) => {
    await expect(read(audit(answers), 'csv')).rejects.toThrow('The export broke off');
  });

  it('trusts the browser with the length of what was compressed', async () => {
    const answers = { '': csv('seq,id\r\n', { 'Content-Length': '9', 'Content-Encoding': 'gzip' }) };
    expect(await read(audit(answers), 'csv')).toBe('seq,id\r\n');
  });

  it.each<[string, Readonly<Record<string, Response>>, readonly string[]]>([
    ['says that it is', { '': csv('', { 'Content-Length': String(EXPORT_MAX_BYTES + 1) }) }, []],
    ['becomes', {}, Array.from({ length: 3 }, () => 'x'.repeat(EXPORT_MAX_BYTES / 2))],
  ])('that %s larger than a browser should hold gives nothing', async (_name, answers, lines) => {
    await expect(read(audit(answers, lines), lines.length > 0 ? 'ndjson' : 'csv')).rejects.toThrow('larger than 50 MB');
  });
});
