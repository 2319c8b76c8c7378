import { describe, expect, test } from 'vitest';
import { parsePolicy } from '../../src/config/policy.ts';
import { readWebhookSecrets } from '../../src/config/secrets.ts';
import { policyWith } from './policies.ts';

const SCANNER = { kind: 'standard', events: ['token.leaked'], workspaces: ['*'], secrets: ['WEBHOOK_SCANNER'] };
const SECRET = `whsec_${btoa('a-secret-of-thirty-two-bytes-000')}`;

const problemsOf = (source: unknown, name = 'scanner') => {
  const parsed = parsePolicy({ ...policyWith({}), webhooks: { [name]: source } });
  return parsed.ok ? [] : parsed.error.map(({ key, problem }) => `${key} ${problem}`);
};

describe('a source of webhooks', () => {
  test.each<[string, unknown, RegExp]>([
    ['without a kind', { ...SCANNER, kind: undefined }, /kind.*standard, github/],
    ['of an unknown kind', { ...SCANNER, kind: 'slack' }, /kind.*standard, github/],
    ['without events', { ...SCANNER, events: undefined }, /events is missing/],
    ['with no event', { ...SCANNER, events: [] }, /events is empty/],
    ['with an unknown event', { ...SCANNER, events: ['token.minted'] }, /events\[0\] is none of/],
    ['without workspaces', { ...SCANNER, workspaces: undefined }, /workspaces is missing/],
    ['with no workspace', { ...SCANNER, workspaces: [] }, /workspaces is empty/],
    ['without secrets', { ...SCANNER, secrets: undefined }, /secrets is missing/],
    ['with no secret', { ...SCANNER, secrets: [] }, /secrets is empty/],
    ['with a secret in place of its name', { ...SCANNER, secrets: [SECRET] }, /secrets\[0\] is not the name/],
    ['with a field that is not known', { ...SCANNER, url: 'x' }, /unknown keys: url/],
    [
      'about people, in one workspace alone',
      { ...SCANNER, events: ['subject.offboarded'], workspaces: ['w-1'] },
      /workspaces is narrower than its events/,
    ],
  ])('%s is refused', (_case, source, problem) => {
    const problems = problemsOf(source);
    expect(problems.join('\n')).toMatch(problem);
    expect(problems.join('\n')).not.toContain(SECRET);
  });

  test.each(['Scanner', '1scanner', 'scan/ner', '', 'a'.repeat(41)])('called %j is refused', (name) => {
    expect(problemsOf(SCANNER, name)).toHaveLength(1);
  });
});

describe('the secrets that sources name', () => {
  const sources = () => {
    const parsed = parsePolicy({ ...policyWith({}), webhooks: { scanner: { ...SCANNER, secrets: ['A', 'B'] } } });
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.error));
    return parsed.value.webhooks;
  };

  test('are read from the environment', () => {
    expect(readWebhookSecrets({ A: SECRET, B: SECRET, C: 'other' }, sources())).toEqual({
      ok: true,
      value: new Map([
        ['A', SECRET],
        ['B', SECRET],
      ]),
    });
  });

  test('must all exist and be keys, and are never quoted', () => {
    const read = readWebhookSecrets({ A: 'whsec_c2hvcnQ=' }, sources());
    expect(read.ok ? [] : read.error.map(({ key, problem }) => `${key} ${problem}`)).toEqual([
      expect.stringMatching(/^A .*webhooks\.scanner/),
      'B is missing; webhooks.scanner needs it',
    ]);
    expect(JSON.stringify(read)).not.toContain('c2hvcnQ=');
  });
});
