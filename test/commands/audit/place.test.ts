import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { growingFile, openPlace } from '../../../commands/audit/place.ts';

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

describe('a file that grows by events', () => {
  /** A follower, up to the moment at which it is killed. */
  function follower(name: string, isReplacing = false) {
    const out = path.join(root, `${name}.ndjson`);
    const grown = growingFile(out, isReplacing);
    return { out, grown, place: openPlace(path.join(root, `${name}.place`), QUESTION, grown) };
  }

  it('has each event once, however often a follower is killed between an event and its place', async () => {
    const first = follower('killed');
    first.grown.write('1\n');
    first.grown.write('2\n');
    await first.place.save('c2');
    first.grown.write('3\n{"half');
    const second = follower('killed');
    expect(second.place.cursor).toBe('c2');
    second.grown.write('3\n4\n');
    const third = follower('killed');
    expect(third.place.cursor).toBe('c2');
    third.grown.write('3\n4\n');
    await third.place.save('c4');
    third.grown.close();
    expect(readFileSync(third.out, 'utf8')).toBe('1\n2\n3\n4\n');
    expect(statSync(third.out).mode & 0o777).toBe(0o600);
  });

  it('is refused where it lacks what its place stands behind', async () => {
    const { out, grown, place } = follower('short');
    grown.write('1\n2\n');
    await place.save('c2');
    truncateSync(out, 2);
    expect(() => follower('short')).toThrow('lacks events that --cursor-file stands behind.');
  });

  it('takes the place of no other file, unless it may', () => {
    writeFileSync(path.join(root, 'mine.ndjson'), 'mine');
    expect(() => follower('mine')).toThrow('a file of that name is in the way (EEXIST)');
    expect(readFileSync(path.join(root, 'mine.ndjson'), 'utf8')).toBe('mine');
    const { out } = follower('mine', true);
    expect(readFileSync(out, 'utf8')).toBe('');
  });
});
