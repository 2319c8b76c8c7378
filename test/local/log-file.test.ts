import { spawnSync } from 'node:child_process';
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { appendFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { openWorkerLog } from '../../local/log-file.ts';

const root = mkdtempSync(path.join(tmpdir(), 'countersign-log-'));
afterAll(() => rmSync(root, { recursive: true }));
const folder = (): string => mkdtempSync(path.join(root, 'run-'));
const linesOf = (file: string): readonly string[] => readFileSync(file, 'utf8').trimEnd().split('\n');

it('goes on once a full disk has room again, and says how many lines were lost', async () => {
  let isFull = true;
  let asked = 0;
  const log = openWorkerLog(folder(), async (file, text) => {
    asked += 1;
    if (isFull) throw Object.assign(new Error('full'), { code: 'ENOSPC' });
    await appendFile(file, text);
  });
  log.write('{"n":1}');
  log.write('{"n":2}');
  await expect.poll(() => asked).toBe(2);
  isFull = false;
  log.write('{"n":3}');
  await expect.poll(() => linesOf(log.path).length, { timeout: 5_000 }).toBe(2);
  expect(linesOf(log.path).map((line): unknown => JSON.parse(line))).toEqual([
    {
      time: expect.any(String),
      level: 'warn',
      message: '2 log lines were lost: the disk is full (ENOSPC)',
    },
    { n: 3 },
  ]);
});

it('goes on in a new file once somebody has moved the old one away', async () => {
  const log = openWorkerLog(folder());
  log.write('old');
  await expect.poll(() => linesOf(log.path)).toEqual(['old']);
  renameSync(log.path, `${log.path}.1`);
  log.write('new');
  await expect.poll(() => linesOf(log.path)).toEqual(['new']);
  expect(linesOf(`${log.path}.1`)).toEqual(['old']);
});

it('ends a line of which the disk took a part, so that the next one can be read', async () => {
  let isFull = true;
  const log = openWorkerLog(folder(), async (file, text) => {
    await appendFile(file, isFull ? text.slice(0, 3) : text);
    if (isFull) throw Object.assign(new Error('full'), { code: 'ENOSPC' });
  });
  log.write('{"n":1}');
  await log.flush();
  isFull = false;
  log.write('{"n":2}');
  await log.flush();
  const [part, notice = '', next] = linesOf(log.path);
  expect([part, next]).toEqual(['{"n', '{"n":2}']);
  expect(JSON.parse(notice)).toMatchObject({ message: '1 log lines were lost: the disk is full (ENOSPC)' });
});

it('has all lines once it is flushed', async () => {
  const log = openWorkerLog(folder());
  for (let n = 0; n < 100; n += 1) log.write(String(n));
  await log.flush();
  expect(linesOf(log.path)).toHaveLength(100);
});

it('goes on behind what another process wrote', async () => {
  const log = openWorkerLog(folder());
  appendFileSync(log.path, 'theirs\n');
  log.write('ours');
  await log.flush();
  expect(linesOf(log.path)).toEqual(['theirs', 'ours']);
});

it.each([
  ['a folder', (file: string) => mkdirSync(file)],
  ['a pipe, which would be opened for ever', (file: string) => spawnSync('mkfifo', [file])],
])('that is %s is named at the start', (_case, make) => {
  const stateDir = folder();
  make(path.join(stateDir, 'worker.log'));
  expect(() => openWorkerLog(stateDir)).toThrow(/worker\.log is no file, and takes no log\. Move it away/);
});
