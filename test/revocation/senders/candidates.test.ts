import { describe, expect, it } from 'vitest';
import { candidatesOf, likeliestOf } from '../../../src/revocation/senders/leaks.ts';
import { noteSecret } from '../../support/secrets.ts';

// What the secret may be in what a scanner took for one.

const SECRET = 'sat_leakedleakedleakedleaked01';
noteSecret(SECRET);
/** One of PipeOps' alphabet that a run of `sat_…` does not hold. */
const PADDED = 'sat_leaked+leaked/leaked~leaked.02==';
noteSecret(PADDED);

describe('of a text that holds a secret the secret is looked for', () => {
  it.each<[string, (secret: string) => string]>([
    ['alone', (secret) => secret],
    ['with a line break behind it', (secret) => `${secret}\n`],
    ['with the line break of Windows', (secret) => `${secret}\r\n`],
    ['between spaces', (secret) => `  ${secret}\t`],
    ['after a byte order mark', (secret) => `\uFEFF${secret}`],
    ['in double quotes', (secret) => `"${secret}"`],
    ['in single quotes', (secret) => `'${secret}'`],
    ['in backticks', (secret) => `\`${secret}\``],
    ['in quotes that are not paired', (secret) => `"${secret}`],
    ['in quotes in quotes', (secret) => `'"${secret}"'`],
    ['in quotes with spaces on either side', (secret) => ` " ${secret} " `],
    ['in quotes and with a comma behind them', (secret) => `"${secret}",`],
    ['in a line of a .env file', (secret) => `PIPEOPS_TOKEN=${secret}`],
    ['in a line of a .env file with quotes', (secret) => `PIPEOPS_TOKEN="${secret}"\n`],
    ['in a line of a shell script', (secret) => `export TOKEN="${secret}";`],
    ['in a line of YAML', (secret) => `  token: '${secret}'`],
    ['in a line of YAML without quotes', (secret) => `token: ${secret}\r\n`],
    ['in a line of JavaScript', (secret) => `token: '${secret}',`],
    ['in a line of JSON', (secret) => `"token": "${secret}",`],
    ['in a whole line in quotes', (secret) => `"TOKEN=${secret}"`],
    ['after several separators', (secret) => `env: TOKEN=${secret}`],
  ])('%s', (_name, around) => {
    for (const secret of [SECRET, PADDED]) {
      const text = around(secret);
      noteSecret(text);
      expect(candidatesOf(text)).toContain(secret);
      expect(candidatesOf(text)[0]).toBe(text);
    }
  });

  it.each<[string, string]>([
    ['in a URL', `https://api.test/?token=${SECRET}&page=2`],
    ['in a header', `Authorization: Bearer ${SECRET}`],
    ['in a sentence', `the token ${SECRET} was pasted here`],
    ['in JSON as text', JSON.stringify({ token: SECRET, id: 7 })],
    ['with a comment behind it', `TOKEN=${SECRET} # of CI: do not commit`],
    ['in a text of a megabyte', `${'x '.repeat(500_000)}${SECRET}${' = :'.repeat(1_000)}`],
  ])('%s, where it is a run of sat_…', (_name, text) => {
    expect(candidatesOf(text)).toContain(SECRET);
  });
});

it.each<[string, readonly string[]]>([
  ['', []],
  [SECRET, [SECRET]],
  [` "${SECRET}" `, [` "${SECRET}" `, SECRET]],
  [`A=${SECRET}+`, [`A=${SECRET}+`, `${SECRET}+`, SECRET]],
  [`"A=${SECRET}+"`, [`"A=${SECRET}+"`, `A=${SECRET}+`, `${SECRET}+`, SECRET]],
  ['nothing = ', ['nothing = ', 'nothing =']],
  ['==', ['==']],
  [':', [':']],
])('%j has these candidates, each once and none empty', (text, candidates) => {
  expect(candidatesOf(text)).toEqual(candidates);
});

it.each([
  ' '.repeat(1_000_000),
  '"'.repeat(1_000_000),
  `a${' '.repeat(1_000_000)}a`,
  '='.repeat(1_000_000),
  'sat_'.repeat(250_000),
])('a text that is made to take long does not, case %#: what is not linear would take hours', (text) => {
  expect(candidatesOf(text).length).toBeLessThanOrEqual(4);
});

it('an unmatched leak is told by the prefix of the likeliest of them', () => {
  expect(likeliestOf(`export TOKEN="${SECRET}";`)).toBe(SECRET);
  expect(likeliestOf(' "another kind" ')).toBe('another kind');
});
