import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { INSTALLED } from '../../commands/countersign/host.ts';
import { run } from '../../commands/countersign/run.ts';
import { UsageError } from '../../commands/usage.ts';
import { type Reply, startTrailServer } from './audit/trail-server.ts';

const SECRET = 'sat_0123456789abcdefghij';
const ENVIRONMENT = { COUNTERSIGN_URL: 'http://127.0.0.1:1', COUNTERSIGN_JWT: 'a.b.c', COUNTERSIGN_JWT_FILE: '' };
const root = mkdtempSync(path.join(tmpdir(), 'countersign-command-'));
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(root, { recursive: true });
});
const stub = (environment: Readonly<Record<string, string>>): void => {
  for (const [name, value] of Object.entries({ ...ENVIRONMENT, ...environment })) vi.stubEnv(name, value);
};

describe('what a command sends', () => {
  beforeAll(() => stub({}));

  it.each<[string[], string, object]>([
    [['tokens', 'get', 'tok-1'], 'GET', {}],
    [['tokens', 'update', 'tok-1', '--suspend'], 'PATCH', { is_active: false }],
    [['tokens', 'revoke', 'tok-1', '--workspace', 'w-1'], 'DELETE', {}],
    [['deliveries', 'retry', 'd-1'], 'POST', {}],
    [
      ['revoke', '--subject', 'https://i.example|kim', '--reason', 'left', '--mode', 'suspend'],
      'POST',
      { subject: { issuer: 'https://i.example', subject: 'kim' }, mode: 'suspend', reason: 'left' },
    ],
    [
      ['revoke', '--token', 'a', '--token', 'b', '--workspace', 'w-1', '--reason', 'leaked'],
      'POST',
      { workspace_uuid: 'w-1', token_ids: ['a', 'b'], reason: 'leaked' },
    ],
    [
      ['reinstate', '--label', 'kim@x.example', '--reason', 'back'],
      'POST',
      { subject: { label: 'kim@x.example' }, reason: 'back' },
    ],
    [['trail', 'resume', '--reason', 'INC-9'], 'POST', { reason: 'INC-9' }],
  ])('%j', async (args, method, body) => {
    const seen: { method: string | undefined; body: string }[] = [];
    const reply: Reply = (response, request) => {
      let text = '';
      request.on('data', (chunk: Buffer) => (text += chunk.toString()));
      request.on('end', () => {
        seen.push({ method: request.method, body: text });
        const data = { id: 'x-1', token: { id: 'x-1' } };
        response.writeHead(200).end(JSON.stringify({ success: true, data }));
      });
    };
    const server = await startTrailServer([reply]);
    const out = path.join(root, `${args.join('-').replaceAll(/\W/g, '-')}.json`);
    await run([...args, '--url', server.url, '--out', out], INSTALLED, '1.0.0');
    expect(JSON.parse(readFileSync(out, 'utf8'))).toMatchObject({ id: 'x-1' });
    expect(seen.map((one) => [one.method, JSON.parse(one.body || '{}')])).toEqual([[method, body]]);
  });
});

// Nothing listens at that address, so what was sent after all would fail in another way.
describe('what is no command', () => {
  it.each<[string, string[], Record<string, string>, RegExp]>([
    ['nothing', [], {}, /^Say what to do: tokens, tokens list, /],
    ['half a command', ['deliveries'], {}, /^Say what to do with deliveries: deliveries list, /],
    ['a secret that lost its flag', [SECRET], {}, /^There is no such command\. There are: /],
    ['no service', ['whoami'], { COUNTERSIGN_URL: '' }, /^Which service\? /],
    ['no JWT', ['whoami'], { COUNTERSIGN_JWT: '' }, /^No JWT: /],
    ['two sources of it', ['whoami', '--jwt-file', 'f', '--jwt-command', 'c'], {}, /choose one/],
    ['no id', ['tokens', 'get'], {}, /^tokens get needs ID\. Help: countersign tokens get --help$/],
    ['too much', ['whoami', 'x'], {}, /^whoami takes options alone\./],
    ['two formats', ['whoami', '--json', '--table'], {}, /choose one/],
    ['a folder', ['whoami', '--out', 'x/'], {}, /^--out names a file/],
    ['no reason', ['revoke', '--label', 'kim'], {}, /^revoke needs --reason TEXT/],
    ['no reason of a new log', ['trail', 'resume'], {}, /^trail resume needs --reason TEXT/],
    ['nobody', ['reinstate', '--reason', 'x'], {}, /^reinstate needs one of --subject NAME and --label LABEL\./],
    [
      'a subject with a bar, and no issuer',
      ['revoke', '--subject', 'auth0|1', '--reason', 'x'],
      {},
      /^--subject needs --issuer URL/,
    ],
    ['no issuer', ['revoke', '--subject', 'kim', '--reason', 'x'], {}, /^--subject needs --issuer URL/],
    [
      'an issuer of a label',
      ['revoke', '--label', 'k', '--issuer', 'i', '--reason', 'x'],
      {},
      /^--issuer goes with --subject/,
    ],
    ['no scope', ['tokens', 'create', '--name', 'x'], {}, /^tokens create needs --scope SCOPE/],
    [
      'two expiries',
      ['tokens', 'create', '--name', 'x', '--preset', 'p', '--expires-in', '1d', '--expires-at', 't'],
      {},
      /choose one/,
    ],
    ['no workspace', ['revoke', '--token', 'a', '--reason', 'x'], {}, /needs --workspace UUID/],
    [
      'a workspace of a leaver',
      ['revoke', '--label', 'k', '--workspace', 'w', '--reason', 'x'],
      {},
      /^--workspace goes with --token/,
    ],
    [
      'a mode of tokens',
      ['revoke', '--token', 'a', '--mode', 'suspend', '--reason', 'x'],
      {},
      /^--token does not go with/,
    ],
    [
      'another mode',
      ['revoke', '--label', 'k', '--mode', 'delete', '--reason', 'x'],
      {},
      /^--mode takes revoke or suspend/,
    ],
    ['no change', ['tokens', 'update', 'x'], {}, /^tokens update needs something that changes/],
    ['a contradiction', ['tokens', 'update', 'x', '--suspend', '--resume'], {}, /choose one/],
    ['a limit', ['subjects', '--limit', '0'], {}, /^--limit takes a whole number from 1 to 10000/],
    ['an unknown option', ['subjects', '--blokked'], {}, /^Unknown option '--blokked'/],
  ])('%s', async (_name, args, environment, line) => {
    stub(environment);
    const error: unknown = await run(args, INSTALLED, '1.0.0').catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(UsageError);
    const { message } = error as UsageError;
    expect(message).toMatch(line);
    expect(message).not.toMatch(/\n|sat_/);
  });
});
