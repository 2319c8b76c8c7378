import { PassThrough } from 'node:stream';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { confirm } from '../../commands/confirm.ts';
import { INSTALLED } from '../../commands/countersign/host.ts';
import { run } from '../../commands/countersign/run.ts';
import { UserError } from '../../local/errors.ts';
import type { ResumedLog } from '../../package/client/types.ts';
import { type Reply, startTrailServer } from './audit/trail-server.ts';

afterAll(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

describe('a person who is asked', () => {
  const asked = async (typed: string): Promise<string> => {
    const [input, output] = [new PassThrough(), new PassThrough()];
    input.end(typed);
    await confirm('It cannot be undone.', 'resume', { input, output });
    return String(output.read());
  };

  it('goes on by the word', async () => {
    expect(await asked('resume\n')).toBe('It cannot be undone.\nType "resume" to go on: ');
  });

  it.each([
    ['another word', 'yes\n'],
    ['nothing', '\n'],
    ['the end of the input', ''],
  ])('stops by %s', async (_name, typed) => {
    const error: unknown = await asked(typed).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(UserError);
    expect(String(error)).toMatch(/Stopped\. Nothing was sent\.$/);
  });
});

const LOG: ResumedLog = {
  number: 2,
  origin: 'log.example/trail/2',
  begun_at: '2026-11-28T00:44:17.472Z',
  because: 'rolled_back',
  previous: {
    number: 1,
    origin: 'log.example/trail',
    size: 41_200,
    checkpoint: 'log.example/trail\n41200\nroot\n\n— x y\n',
    known: 'log.example/trail\n43711\nroot\n\n— x y\n',
  },
  kept_seq: 30_122,
  gap: { from: 30_140, to: 32_004 },
  event_id: '2692281b-33b0-482a-b689-002c54a712da',
};

describe('trail resume says what it did and what to tell auditors', () => {
  const said = async (log: ResumedLog): Promise<readonly string[]> => {
    vi.stubEnv('COUNTERSIGN_JWT', 'a.b.c');
    const lines: string[] = [];
    vi.spyOn(process.stdout, 'write').mockImplementation((text: unknown, ...more: readonly unknown[]) => {
      lines.push(String(text).trimEnd());
      const done = more.at(-1);
      if (typeof done === 'function') done();
      return true;
    });
    vi.spyOn(console, 'error').mockImplementation((line: unknown) => void lines.push(String(line)));
    const reply: Reply = (response) => response.writeHead(201).end(JSON.stringify({ success: true, data: log }));
    const server = await startTrailServer([reply]);
    await run(['trail', 'resume', '--reason', 'INC-9', '--table', '--yes', '--url', server.url], INSTALLED, '1.0.0');
    vi.restoreAllMocks();
    return lines;
  };

  it('where events are gone', async () => {
    expect(await said(LOG)).toEqual([
      'LOG      2, log.example/trail/2',
      'BEGUN    2026-11-28T00:44:17.472Z',
      'BECAUSE  D1 was rolled back',
      'FOLLOWS  log 1, log.example/trail, of which 41200 leaves count',
      'KNOWN    a signed checkpoint of 43711 leaves',
      'SEALED   events with a seq above 30122 are sealed anew',
      'GAP      no event has the seq 30140 to 32004',
      'EVENT    2692281b-33b0-482a-b689-002c54a712da',
      expect.stringMatching(
        /^Tell whoever audits log\.example\/trail: it ends at 41200 leaves and log\.example\/trail\/2 follows it/,
      ),
      expect.stringMatching(/^Keep the files beyond that/),
      expect.stringMatching(/hole from 30140 to 32004/),
      expect.stringMatching(/^The next run of the cron seals/),
    ]);
  });

  it('and where none are', async () => {
    const lines = await said({ ...LOG, because: 'key_lost', gap: null, previous: { ...LOG.previous, known: null } });
    expect(lines).toContain('BECAUSE  its key is lost');
    expect(lines).toContain('KNOWN    nothing beyond that');
    expect(lines).toContain('GAP      none');
    expect(lines).toHaveLength(10);
  });
});
