import { describe, expect, it } from 'vitest';
import { createAuditClient } from '../../local/audit-client.ts';
import { exportAll } from '../../local/audit-export.ts';
import { cutAfter, event, startTrailServer, textOf, type Reply } from './trail-server.ts';

type Format = 'ndjson' | 'csv';

async function run(format: Format, replies: readonly Reply[]) {
  const server = await startTrailServer(replies);
  const client = createAuditClient({
    url: server.url,
    jwt: async () => await Promise.resolve('a.b.c'),
    sleep: async () => {},
    notice: () => {},
  });
  let written = '';
  const result = await exportAll(client, { status: 'success' }, format, async (text) => {
    await Promise.resolve((written += text));
  }).catch((error: unknown) => error);
  return { result, written, asked: server.asked };
}

const trailer = (count: number, next: string | null = null) => JSON.stringify({ complete: next === null, count, next });
const ndjson = (seqs: readonly number[], end = '') =>
  seqs.map((seq) => `${JSON.stringify(event(seq))}\n`).join('') + end;
const HEAD = 'seq,id,status\r\n';
const csv = (seqs: readonly number[], end = '') =>
  HEAD + seqs.map((seq) => `${seq},event-${seq},ok\r\n`).join('') + end;

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

  it('has one line of titles in CSV', async () => {
    const { result, written } = await run('csv', [
      textOf(csv([1], `# ${trailer(1, 'c1')}\r\n`), 'text/csv'),
      textOf(csv([2], `# ${trailer(1)}\r\n`), 'text/csv'),
    ]);
    expect([result, written]).toEqual([2, csv([1, 2], `# ${trailer(2)}\r\n`)]);
  });

  it('may be empty', async () => {
    expect(await run('csv', [textOf(csv([], `# ${trailer(0)}\r\n`), 'text/csv')])).toMatchObject({
      result: 0,
      written: csv([], `# ${trailer(0)}\r\n`),
    });
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
    ['CSV ends without a closing line', 'csv', [textOf(csv([1, 2]), 'text/csv')], 1],
    ['CSV ends in text that looks like one', 'csv', [textOf(csv([1], `2,${trailer(1)}\r\n`), 'text/csv')], 1],
  ])('%s', async (_name, format, replies, atMost) => {
    const { result, written } = await run(format, replies);
    expect(String(result)).toMatch(/^AuditError: The export was cut off after \d+ events\. .* run this again\.$/);
    const lines = written
      .split('\n')
      .slice(0, -1)
      .filter((line) => !line.startsWith('seq,'));
    expect(lines.length).toBeLessThanOrEqual(atMost);
    expect(written).not.toContain('complete');
  });
});
