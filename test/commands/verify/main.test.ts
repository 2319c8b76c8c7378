import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { INSTALLED } from '../../../commands/countersign/host.ts';
import { barLine, progressBar } from '../../../commands/verify/progress.ts';
import { readOptions, usageOf } from '../../../commands/verify/options.ts';
import { readKnown } from '../../../commands/verify/state.ts';
import { offlineSource } from '../../../commands/verify/offline.ts';
import { keepingTiles } from '../../../commands/verify/tile-tree.ts';
import { UsageError } from '../../../commands/usage.ts';
import { CHECKOUT } from '../../../local/settings.ts';
import { createSigner, parsePrivateKey, parseVerifier, verifierText } from '../../../src/tlog/note.ts';
import { startLoopbackServer } from '../loopback-server.ts';
import { EVENTS, exportOf, pinOf, rowOf, rowsOf, smallLog, type SmallLog, sourceOf } from './small-log.ts';

const root = mkdtempSync(path.join(tmpdir(), 'countersign-verify-'));
afterAll(() => rmSync(root, { recursive: true }));
const JWT = 'aGVhZGVy.cGF5bG9hZA.c2lnbmF0dXJl';

async function verify(args: readonly string[], environment: Readonly<Record<string, string>> = {}) {
  const child = spawn(process.execPath, [path.join(CHECKOUT, 'commands', 'verify', 'main.ts'), ...args], {
    env: { PATH: process.env['PATH'], STATE_DIR: path.join(root, 'none'), COUNTERSIGN_JWT: JWT, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const [status]: unknown[] = await once(child, 'close');
  return { status, stdout, stderr };
}

let folders = 0;
/** Writes a trail as files. */
function laid(log: SmallLog): { readonly tlog: string; readonly exported: string } {
  const tlog = path.join(root, `log-${(folders += 1)}`);
  for (const [name, bytes] of log.files) {
    mkdirSync(path.dirname(path.join(tlog, name)), { recursive: true });
    writeFileSync(path.join(tlog, name), bytes);
  }
  writeFileSync(path.join(tlog, 'log.json'), JSON.stringify(log.list));
  const exported = path.join(tlog, 'trail.ndjson');
  writeFileSync(exported, log.lines.map((line) => `${line}\n`).join(''));
  return { tlog, exported };
}

/** A service that answers as one does whose trail this is. */
const serve = async (log: SmallLog) =>
  await startLoopbackServer((request, response) => {
    const { pathname } = new URL(request.url ?? '', 'http://127.0.0.1');
    const file = log.files.get(pathname.replace('/api/v1/audit/logs/', ''));
    if (pathname === '/api/v1/audit/log') {
      const data = { ...log.list, current: 1, witnesses: [], unsealed: { events: 0, oldest_at: null } };
      response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify({ success: true, data }));
    } else if (pathname === '/api/v1/audit/export') {
      response.writeHead(200, { 'Content-Type': 'application/x-ndjson' }).end(`${log.lines.join('\n')}\n`);
    } else if (file === undefined) {
      const body = { success: false, status: 'error', message: 'None.', code: 'log_file_not_found' };
      response.writeHead(404, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
    } else response.writeHead(200, { 'Content-Type': 'application/octet-stream' }).end(file);
  });

describe('npm run verify', () => {
  it('verifies files, says each verdict, and remembers the checkpoint, once', async () => {
    const { tlog, exported } = laid(await smallLog());
    const state = path.join(root, 'state.jsonl');
    const args = ['--tlog', tlog, '--export', exported, '--key', await pinOf(), '--state', state];
    for (const seen of ['', ', and go on from what you have seen before (checkpoints: 1)']) {
      // One after another: the second run goes on from the first.
      // oxlint-disable-next-line no-await-in-loop
      const { status, stdout, stderr } = await verify(args);
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      expect(stdout.split('\n')[0]).toBe(
        `integrity     good     330 entries in one log give the roots that the pinned key signed${seen}. 300 rows are as they were sealed.`,
      );
    }
    expect(statSync(state).mode & 0o777).toBe(0o600);
    const [line = '', ...rest] = readFileSync(state, 'utf8').split('\n');
    expect(rest).toEqual(['']);
    expect(JSON.parse(line)).toMatchObject({ size: 330, note: readFileSync(path.join(tlog, '1/checkpoint'), 'utf8') });
  });

  it('names the row that is wrong, exits 1, and remembers nothing', async () => {
    const rows = rowsOf(1, EVENTS).map((row) => (row.seq === 77 ? { ...row, count: 8 } : row));
    const { tlog } = laid(await smallLog());
    const file = path.join(tlog, 'changed.ndjson.gz');
    writeFileSync(file, gzipSync(`${exportOf(rows).join('\n')}\n`));
    const state = path.join(root, 'untouched.jsonl');
    const key = path.join(root, 'key.txt');
    writeFileSync(key, `${await pinOf()}\n`);
    const { status, stdout } = await verify([
      '--tlog',
      tlog,
      '--export',
      file,
      '--key',
      key,
      '--state',
      state,
      '--json',
    ]);
    expect(status).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      exit_code: 1,
      verdicts: { integrity: { judgement: 'wrong' }, completeness: { judgement: 'good' } },
      faults: [
        {
          kind: 'row_changed',
          topic: 'integrity',
          seq: 77,
          id: rowOf(77).id,
          difference: { field: 'count', sealed: '2', exported: '8' },
          count: 1,
        },
      ],
    });
    expect(existsSync(state)).toBe(false);
  });

  it('verifies a service, and copies its log as a tile tree that verifies by itself', async () => {
    const log = await smallLog();
    const server = await serve(log);
    const copy = path.join(root, 'copy');
    const key = ['--key', await pinOf()];
    const { status, stdout, stderr } = await verify(['--url', server.url, '--export-tlog', copy, ...key]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain('completeness  good     Events up to 300 are all there.');
    for (const [name, bytes] of log.files) expect(readFileSync(path.join(copy, name))).toEqual(Buffer.from(bytes));
    expect((await verify(['--tlog', copy, '--export', laid(log).exported, ...key])).status).toBe(0);
    expect(() => keepingTiles(sourceOf(log), copy)).toThrow('is no empty folder');
  });

  it('takes the key of a local service from its state directory, and that of no other', async () => {
    const log = await smallLog();
    const { url } = await serve(log);
    const stateDir = path.join(root, 'local');
    mkdirSync(stateDir);
    writeFileSync(path.join(stateDir, 'trail.verifier'), `${await pinOf()}\n`);
    const environment = { STATE_DIR: stateDir, COUNTERSIGN_URL: url };
    expect(await verify([], environment)).toMatchObject({ status: 0, stderr: '' });
    const asked = [
      ['--url', 'https://countersign.example'],
      ['--tlog', root, '--export', 'x'],
    ];
    for (const args of asked) {
      // oxlint-disable-next-line no-await-in-loop -- each is a process of its own
      const { status, stderr } = await verify(args, environment);
      expect([status, stderr]).toEqual([3, expect.stringContaining('Which key?')]);
    }
  });

  it('shows a fork by the checkpoints of another auditor', async () => {
    const { tlog, exported } = laid(await smallLog());
    const other = laid(
      await smallLog(
        EVENTS,
        rowsOf(1, EVENTS).map((row) => ({ ...row, ip: null })),
      ),
    );
    const args = ['--tlog', tlog, '--export', exported, '--key', await pinOf()];
    const { status, stdout } = await verify([...args, '--against', path.join(other.tlog, '1/checkpoint')]);
    expect(status).toBe(1);
    expect(stdout).toMatch(/^integrity +wrong +Log 1 was forked: line 1 of .*checkpoint has another root/);
  });

  it.each<[string, readonly string[], string]>([
    [
      'files that are not there',
      ['--tlog', '/none', '--export', path.join(CHECKOUT, 'package.json')],
      'log.json cannot be read',
    ],
    ['nobody who answers', ['--url', 'http://127.0.0.1:9'], 'Is it running?'],
  ])('cannot tell from %s', async (_what, args, told) => {
    const { status, stderr, stdout } = await verify([...args, '--key', await pinOf()]);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain(told);
    expect(stderr.split('\n')).toHaveLength(2);
  });

  it('says what to do about a file that it cannot read', async () => {
    const { tlog, exported } = laid(await smallLog());
    expect(() => offlineSource(tlog, '/none')).toThrow('/none cannot be read');
    expect(() => offlineSource(tlog, tlog)).toThrow('is no file: --export names one.');
    expect(() => readKnown(exported, '--state')).toThrow('is no checkpoint');
    expect(() => readKnown('/none', '--against')).toThrow('Name another with --against.');
    expect(readKnown('/none', '--state')).toEqual([]);
    writeFileSync(path.join(tlog, 'log.json'), '{}');
    await expect(offlineSource(tlog, exported).logs()).rejects.toThrow('is no list of logs');
  });

  it('judges a gzipped export that is cut as one that is cut', async () => {
    const { tlog } = laid(await smallLog());
    const file = path.join(tlog, 'cut.gz');
    writeFileSync(file, gzipSync(`${exportOf(rowsOf(1, 50)).join('\n')}\n`).subarray(0, -20));
    const lines: string[] = [];
    for await (const line of offlineSource(tlog, file).events()) lines.push(line);
    expect(lines).not.toContain(exportOf(rowsOf(1, 50)).at(-1));
  });

  it('prints a new key: the private one alone on standard output', async () => {
    const { status, stdout, stderr } = await verify(['--new-key', 'log.example/trail']);
    expect(status).toBe(0);
    const key = parsePrivateKey(stdout.trim());
    if (key === null) throw new Error('no key');
    expect(stderr).toContain(verifierText((await createSigner(key)).verifier));
    expect(stderr).toContain('into no file');
    expect(stderr).not.toContain('PRIVATE');
  });

  it('says how it is used, and exits 3 for what is no command', async () => {
    expect(usageOf('countersign verify')).toContain('Exit codes: 0 good, 1 wrong, 2 cannot tell, 3 not a command.');
    expect((await verify(['--tlog', 'x'])).status).toBe(3);
  });
});

describe('arguments', () => {
  const read = (...args: string[]) => readOptions(args, (named) => INSTALLED.pathOf(named));
  const KEY = 'countersign.example.com/trail+00000000+AA==';

  it.each<[string, readonly string[], string]>([
    ['no key', ['--url', 'https://x.example'], 'Which key?'],
    ['a key that is none', ['--key', KEY], 'is not the verifier key of a log'],
    ['a private key', ['--key', `PRIVATE+KEY+${KEY}`], 'is a private key'],
    ['a key in a file that is not there', ['--key', '/none/key'], 'cannot be read'],
    ['files without an export', ['--tlog', 'x'], 'go together'],
    ['files and a service', ['--tlog', 'x', '--export', 'y', '--url', 'z'], 'choose one'],
    ['a copy of files', ['--tlog', 'x', '--export', 'y', '--export-tlog', 'z'], 'goes with --url'],
    ['an option that is none', ['--nonsense'], '--nonsense'],
    ['a word that stands alone', ['secret-that-lost-its-flag'], 'Unexpected argument'],
    ['a new key and more', ['--new-key', 'a', '--json'], 'stands alone'],
    ['a new key of a name that is none', ['--new-key', 'a b'], 'name of a log'],
    ['a new key of a name with a number', ['--new-key', 'a/2'], 'name of a log'],
  ])('are refused with %s', (_what, args, told) => {
    expect(() => read(...args)).toThrow(UsageError);
    expect(() => read(...args)).toThrow(told);
    expect(() => read(...args)).not.toThrow('secret-that');
  });

  it('are refused with witnesses that are none, or too few of them', async () => {
    const key = await pinOf();
    expect(() => read('--key', key, '--witness', key)).toThrow('--witness takes');
    expect(() => read('--key', key, '--quorum', '1')).toThrow('--quorum takes');
    expect(() => read('--key', key, '--key', ANOTHER)).toThrow('different names');
  });

  it('pin the key that is given', async () => {
    const key = await pinOf();
    expect(read('--key', key)).toMatchObject({ mode: 'verify', pins: [parseVerifier(key)], offline: null, quorum: 0 });
  });
});

const ANOTHER = await pinOf(7, 'another.example/log');

describe('the progress bar', () => {
  it('shows how far a run is, on a terminal alone', () => {
    const written: string[] = [];
    const stream = (isTTY: boolean) => ({ isTTY, write: (text: string) => written.push(text) > 0 }) as never;
    const silent = progressBar(stream(false), () => 0);
    silent.show('entries', 1, 2);
    silent.end();
    expect(written).toEqual([]);
    let now = 0;
    const bar = progressBar(stream(true), () => now);
    bar.show('entries', 1, 4);
    bar.show('entries', 2, 4);
    now = 200;
    bar.show('entries', 3, 4);
    bar.end();
    expect(written).toHaveLength(3);
    expect(barLine('entries', 512, 1024)).toBe('[############············]  50 % of 1,024 entries');
    expect(barLine('events', 1_000, null)).toBe('1,000 events');
  });
});
