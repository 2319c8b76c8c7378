import { describe, expect, it } from 'vitest';
import { readOptions, usageOf } from '../../../commands/webhook/options.ts';
import { LOCAL_ISSUER } from '../../../local/issuer.ts';

const SECRET = 'sat_0123456789abcdefghij';
const SHA256 = 'ab'.repeat(32);
const AT = 'https://paste.example/1';

const CALL = 'npm run -s webhook --';
const HOST = { call: CALL, defaultIssuer: LOCAL_ISSUER };
const read = async (...args: string[]) =>
  await readOptions(args, async () => await Promise.resolve(`${SECRET}\n`), HOST);
const messageOf = async (...args: string[]): Promise<unknown> => {
  const options = await read(...args);
  return options.mode === 'send' ? options.message : options;
};
const scanner = (event: string, data: object) => ({ source: 'scanner', event, data });
const hr = (event: string, data: object) => ({ source: 'hr', event, data });

describe('the arguments of webhook', () => {
  it.each([
    [['leak', '--token', SECRET], scanner('token.leaked', { token: SECRET })],
    [['leak', '--token', SECRET, '--at', AT], scanner('token.leaked', { token: SECRET, url: AT })],
    [['leak', '--sha256', SHA256], scanner('token.leaked', { sha256: SHA256 })],
    [['leak', '--token', SECRET, '--kind', 'github'], { source: 'github', token: SECRET, location: null }],
    [['--kind', 'github', '--at', AT, '--token', SECRET, 'leak'], { source: 'github', token: SECRET, location: AT }],
    [['revoke', '--token-id', 'tok-1'], scanner('token.revoke', { token_id: 'tok-1' })],
    [
      ['revoke', '--token-id', 'tok-1', '--workspace', 'w'],
      scanner('token.revoke', { token_id: 'tok-1', workspace_uuid: 'w' }),
    ],
    [['offboard', '--subject', 'ada'], hr('subject.offboarded', { issuer: LOCAL_ISSUER, subject: 'ada' })],
    [
      ['offboard', '--subject', 'ada', '--issuer', 'https://i.example', '--mode', 'suspend'],
      hr('subject.offboarded', { issuer: 'https://i.example', subject: 'ada', mode: 'suspend' }),
    ],
    [['offboard', '--label', 'ada@acme.example'], hr('subject.offboarded', { label: 'ada@acme.example' })],
    [
      ['offboard', '--label', 'ada@acme.example', '--former'],
      hr('subject.offboarded', { label: 'ada@acme.example', former: true }),
    ],
    [['reinstate', '--subject', 'ada'], hr('subject.reinstated', { issuer: LOCAL_ISSUER, subject: 'ada' })],
    [['reinstate', '--label', 'ada@acme.example'], hr('subject.reinstated', { label: 'ada@acme.example' })],
  ])('%j', async (args, expected) => {
    expect(await messageOf(...args)).toEqual(expected);
  });

  it('name neither a service nor an id unless they say so', async () => {
    expect(await read('revoke', '--token-id', 'tok-1')).toMatchObject({ url: null, id: null });
    const args = ['revoke', '--token-id', 'tok-1', '--url', 'http://127.0.0.1:1', '--id', 'msg_1'];
    expect(await read(...args)).toMatchObject({ url: 'http://127.0.0.1:1', id: 'msg_1' });
  });

  it('name an issuer where no local service has one', async () => {
    const installed = { call: 'countersign webhook', defaultIssuer: null };
    const asked = async (...more: string[]) =>
      await readOptions(['offboard', '--subject', 'ada', ...more], async () => await Promise.resolve(''), installed);
    await expect(asked()).rejects.toThrow('--subject needs --issuer URL');
    expect(await asked('--issuer', 'https://i.example')).toMatchObject({
      message: { data: { issuer: 'https://i.example', subject: 'ada' } },
    });
  });

  it.each([['standard'], ['github']])('take the secret from standard input, for %s', async (kind) => {
    expect(JSON.stringify(await messageOf('leak', '--token', '-', '--kind', kind))).toContain(`"token":"${SECRET}"`);
  });

  it('say that standard input is empty', async () => {
    const empty = readOptions(['leak', '--token', '-'], async () => await Promise.resolve('\n'), HOST);
    await expect(empty).rejects.toThrow('--token - reads the secret from standard input, and there was none.');
  });

  it('ask for help, whatever else they say', async () => {
    expect(await read('--help', 'leek')).toEqual({ mode: 'help' });
    for (const flag of ['leak', 'revoke', 'offboard', 'reinstate', '--token -', '--id', '--url'])
      expect(usageOf(CALL)).toContain(flag);
  });

  it.each([
    [[], 'Say what to send: leak, revoke, offboard, reinstate.'],
    [[SECRET], 'The first argument is no command; there are: leak, revoke'],
    [['leak', SECRET], 'leak takes options alone'],
    [['leak'], 'leak needs one of --token SECRET (or --token -) and --sha256 HEX.'],
    [['leak', '--token', SECRET, '--sha256', SHA256], 'leak needs one of'],
    [['leak', '--sha256', SHA256, '--kind', 'github'], 'GitHub sends the secret itself.'],
    [['leak', '--token', SECRET, '--kind', 'gitlab'], '--kind takes standard or github.'],
    [['leak', '--token', SECRET, '--subject', 'ada'], '--subject does not go with leak.'],
    [['leak', '--token', SECRET, '--kind', 'github', '--id', 'msg_1'], '--id does not go with --kind github'],
    [['leak', '--token', SECRET, '--id', 'a b'], '--id takes up to 200 visible ASCII characters'],
    [['leak', '--tokn', SECRET], "Unknown option '--tokn'"],
    [['leak', '--token'], "Option '--token <value>' argument missing"],
    [['revoke', '--token-id', 'x', '--source', 'A/B'], '--source takes the name of a sender'],
    [['revoke'], 'revoke needs --token-id ID.'],
    [['revoke', '--token-id', 'x', '--at', AT], '--at does not go with revoke.'],
    [['offboard'], 'offboard needs one of --subject NAME and --label LABEL.'],
    [['offboard', '--subject', 'a', '--label', 'b'], 'offboard needs one of'],
    [['offboard', '--label', 'b', '--issuer', 'i'], '--issuer goes with --subject'],
    [['offboard', '--subject', 'a', '--mode', 'delete'], '--mode takes revoke or suspend.'],
    [['offboard', '--subject', 'a', '--former'], '--former goes with --label LABEL.'],
    [['reinstate', '--subject', 'a', '--mode', 'revoke'], '--mode does not go with reinstate.'],
  ])('%j is refused in one line, which holds no secret', async (args, problem) => {
    const error = await read(...args).then(
      () => '',
      (reason: unknown) => String(reason),
    );
    expect(error).toContain(problem);
    expect(error).not.toMatch(/\n|sat_/);
  });
});
