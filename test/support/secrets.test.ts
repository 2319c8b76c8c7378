import { expect, it } from 'vitest';
import { secretsIn } from './secrets.ts';

it('the search after every file finds a secret wherever it stands, and shows no more than its kind', () => {
  const secret = 'sat_planted0123456789';
  const texts = [
    { where: 'table tokens', text: '[{"token_id":"tok-1"}]' },
    { where: 'log line', text: `{"message":"minted ${secret}"}` },
    { where: 'log line', text: `{"again":"${secret}"}` },
  ];
  expect(secretsIn(texts, new Set([secret]))).toEqual(['log line holds sat_…']);
  expect(secretsIn(texts, new Set(['sat_another0123456789']))).toEqual([]);
});
