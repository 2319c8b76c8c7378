import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeEach, expect, it } from 'vitest';
import { createControl } from './control.ts';
import { session } from './harness.ts';
import { TOKENS_PATH } from './routes.ts';
import { startSimulator } from './server.ts';

const MAIN = path.join(import.meta.dirname, 'main.ts');
const NODE = path.resolve(import.meta.dirname, '../../node_modules/.bin/node');

type Process = ChildProcessByStdio<Writable, Readable, Readable>;
const started: Process[] = [];
let directory = '';
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'pipeops-simulator-'));
});
afterEach(() => rmSync(directory, { recursive: true }));
afterAll(() => {
  for (const child of started) child.kill('SIGKILL');
});

function run(environment: Readonly<Record<string, string>> = {}): Process {
  const child = spawn(NODE, [MAIN], { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, ...environment } });
  started.push(child);
  return child;
}

/** The one line that it prints when it is ready, and the URL in it. */
async function listening(child: Process): Promise<string> {
  const [line]: string[] = await once(createInterface({ input: child.stdout }), 'line');
  const ready: { listening: string } = JSON.parse(line ?? '');
  return ready.listening;
}

async function create(url: string, workspace: string): Promise<void> {
  const response = await fetch(`${url}${TOKENS_PATH}?workspace_uuid=${workspace}`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${session()}`, 'X-Request-Id': 'event-1' },
    body: JSON.stringify({ name: 'deploy', workspace_uuid: workspace, scopes: ['api:read'] }),
  });
  expect(response.status).toBe(201);
}

it('prints where it listens, on the loopback alone', async () => {
  expect(await listening(run())).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
});

it.each(['SIGTERM', 'SIGINT'] as const)('ends cleanly on %s with a request under way', async (signal) => {
  const child = run();
  const url = await listening(child);
  const control = createControl(url);
  await control.fault({ delay_ms: -1 });
  const unanswered = fetch(url).catch(() => 'cut off');
  await expect.poll(control.requests, { timeout: 20_000 }).toHaveLength(1);
  child.kill(signal);
  expect(await once(child, 'exit')).toEqual([0, null]);
  expect(await unanswered).toBe('cut off');
});

it('ends with its standard input, where that is asked for', async () => {
  const child = run({ EXIT_WITH_STDIN: '1' });
  await listening(child);
  child.stdin.end();
  expect(await once(child, 'exit')).toEqual([0, null]);
});

it('stays when its standard input ends, where it is not', async () => {
  const child = run();
  const control = createControl(await listening(child));
  child.stdin.end();
  await once(child.stdin, 'finish');
  expect(await control.tokens()).toEqual([]);
});

it('keeps every answered change through a SIGKILL', async () => {
  const file = path.join(directory, 'state.json');
  const workspace = crypto.randomUUID();
  const first = run({ STATE_FILE: file });
  const url = await listening(first);
  await create(url, workspace);
  const before = await createControl(url).tokens(workspace);
  first.kill('SIGKILL');
  await once(first, 'exit');
  const after = await createControl(await listening(run({ STATE_FILE: file }))).tokens(workspace);
  expect(after).toEqual(before);
  expect(after).toMatchObject([{ name: 'deploy', commits: [{ operation: 'create', event_id: 'event-1' }] }]);
});

it('keeps its state for its owner alone, and leaves nothing beside it', async () => {
  const file = path.join(directory, 'state.json');
  await create(await listening(run({ STATE_FILE: file })), 'w-1');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(readdirSync(directory)).toEqual(['state.json']);
});

it('has written a change before a connection is dropped after it', async () => {
  const stateFile = path.join(directory, 'state.json');
  const simulator = await startSimulator({ stateFile });
  await createControl(simulator.url).fault({ drop: 'after_commit' });
  await expect(create(simulator.url, 'w-1')).rejects.toThrow('fetch failed');
  const other = await startSimulator({ stateFile });
  expect(await createControl(other.url).tokens()).toHaveLength(1);
  await simulator.close();
  await other.close();
});

it('makes no change that the disk does not take, and says so in a line', async () => {
  const file = path.join(directory, 'state.json');
  const child = run({ STATE_FILE: file });
  const url = await listening(child);
  // A folder of that name stands for a full disk.
  mkdirSync(file);
  await expect(create(url, 'w-1')).rejects.toThrow('fetch failed');
  expect(await createControl(url).tokens()).toEqual([]);
  child.kill('SIGTERM');
  expect(await text(child.stderr)).toMatch(
    /^The PipeOps simulator cannot write \S+state\.json, [^\n]+ EISDIR[^\n]*\n$/,
  );
});

it('says in a line that its port is taken, or its state unreadable, and ends', async () => {
  const port = new URL(await listening(run())).port;
  const broken = path.join(directory, 'broken.json');
  writeFileSync(broken, '{"tokens":[{');
  for (const environment of [{ PORT: port }, { STATE_FILE: broken }]) {
    const child = run(environment);
    const [[code], complaint] = await Promise.all([once(child, 'exit'), text(child.stderr)]);
    expect(code).toBe(1);
    expect(complaint).toMatch(/^The PipeOps simulator cannot start: .*\n$/);
  }
});

it('has no rate limits with LIMITS=off', async () => {
  const headers = { Authorization: `Bearer ${session()}` };
  const limited = async (environment: Readonly<Record<string, string>>) => {
    const answer = await fetch(`${await listening(run(environment))}${TOKENS_PATH}?workspace_uuid=w`, { headers });
    return answer.headers.has('X-RateLimit-Limit');
  };
  expect([await limited({}), await limited({ LIMITS: 'off' })]).toEqual([true, false]);
});
