import { describe, expect, it } from 'vitest';
import { banner, type BannerFacts } from '../../local/banner.ts';

const facts: BannerFacts = {
  url: 'http://127.0.0.1:8787',
  upstream: { kind: 'simulator', url: 'http://127.0.0.1:8788' },
  stateDir: '/x/.state',
  logFile: '/x/.state/worker.log',
  defaultWorkspaceUuid: 'w',
  adminJwt: 'eyJadmin',
  ciJwt: 'eyJci',
  jwtLifetime: '12 hours',
  signIn: { code: null },
};
const pasted = (text: string): string => text.slice(text.indexOf('URL='));

describe('the banner', () => {
  it('hands out the JWT of an administrator first and of the least-privileged caller second, each once', () => {
    expect(banner(facts).match(/eyJ\w+/g)).toEqual(['eyJadmin', 'eyJci']);
  });

  it.each([
    ['simulator', true],
    ['configured', false],
  ] as const)('names the demo beside a PipeOps of kind %s: %s', (kind, isNamed) => {
    const text = banner({ ...facts, upstream: { kind, url: 'http://127.0.0.1:8788' } });
    expect(text.includes('npm run demo')).toBe(isNamed);
  });

  it.each([
    [
      'by a click',
      { code: null },
      ['Console: http://127.0.0.1:8787/console'],
      ['  People   ada (admin), grace (auditor), linus (developer); the console asks who you are'],
    ],
    [
      'by a code too',
      { code: 'x7-CODE' },
      ['Console: http://127.0.0.1:8787/console'],
      [
        '  People   ada (admin), grace (auditor), linus (developer); the console asks who you are',
        '  Code     x7-CODE, which it asks for too, because this PipeOps is not the simulator',
      ],
    ],
    [
      'not at all',
      'Nobody can sign in at the console, because …',
      ['Nobody can sign in at the console, because …'],
      [],
    ],
  ])('begins with the console, where people sign in %s', (_how, signIn, first, people) => {
    const lines = banner({ ...facts, signIn }).split('\n');
    expect(lines.slice(0, 4)).toEqual(['', ...first, '', 'Countersign is ready at http://127.0.0.1:8787']);
    expect(lines.filter((line) => /^ {2}(People|Code) /.test(line))).toEqual(people);
  });

  it('creates, lists and revokes a token and shows the trail, in lines that any shell takes', () => {
    const lines = pasted(banner(facts)).trimEnd().split('\n');
    expect(lines.map((line) => /^[A-Z]+=(?!\$\()|-d |sed|DELETE|audit|curl/.exec(line)?.[0] ?? 'show')).toEqual([
      'URL=',
      'ADMIN=',
      'CI=',
      'curl',
      'show',
      'sed',
      'curl',
      'curl',
      'curl',
    ]);
    expect(lines.filter((line) => line.includes('#'))).toEqual([]);
  });

  it('shows the verifier key of the witness where there is one', () => {
    const linesOf = (witness: string | null): readonly string[] =>
      banner({ ...facts, witness })
        .split('\n')
        .filter((line) => line.startsWith('  Witness'));
    expect(linesOf('localhost/witness+12345678+BAAA')).toEqual(['  Witness  localhost/witness+12345678+BAAA']);
    expect(linesOf(null)).toEqual([]);
  });

  it('asks for a workspace in every line where none is known', () => {
    const text = pasted(banner({ ...facts, defaultWorkspaceUuid: null }));
    expect(text).toContain('\nWORKSPACE=the-uuid-of-your-workspace\n');
    expect(text.match(/service-account-tokens\S*\?workspace_uuid=\$WORKSPACE/g)).toHaveLength(3);
  });
});
