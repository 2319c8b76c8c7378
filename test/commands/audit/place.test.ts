import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { openPlace } from '../../../commands/audit/place.ts';

const root = mkdtempSync(path.join(tmpdir(), 'countersign-place-'));
afterAll(() => rmSync(root, { recursive: true }));
const QUESTION = { url: 'https://a.example', parameters: { action: 'x', status: 'success' } };

it('is none before the first page, and the last that was saved from then on', async () => {
  const file = path.join(root, 'place');
  const first = openPlace(file, QUESTION);
  expect(first.cursor).toBeNull();
  await first.save('c1');
  await first.save('c2');
  expect(openPlace(file, QUESTION).cursor).toBe('c2');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(readdirSync(root)).toEqual(['place']);
});

it.each([
  ['other filters', { ...QUESTION, parameters: { action: 'x' } }],
  ['another service', { ...QUESTION, url: 'https://b.example' }],
])('is refused for %s: the cursor would leave events out', async (_case, question) => {
  const file = path.join(root, 'mine');
  await openPlace(file, QUESTION).save('c1');
  expect(() => openPlace(file, question)).toThrow('keeps the place of another question');
});

it.each(['', '{', '{"cursor":""}', '[]'])('is refused where the file holds something else: %j', (text) => {
  const file = path.join(root, 'other');
  writeFileSync(file, text);
  expect(() => openPlace(file, QUESTION)).toThrow('other does not keep a place in the trail.');
});
