import { describe, expect, it } from 'vitest';
import { UNSEALED_NUMBERS_MAX_COUNT } from '../../../src/config/trail-limits.ts';
import { createSigner, type Verifier, verifierOf } from '../../../src/tlog/note.ts';
import { bundleOf } from '../../../src/tlog/tiles.ts';
import { type KnownLog, lookBeyond, type StoredFiles } from '../../../src/trail/log/beyond.ts';
import { entryOf } from '../../../src/trail/log/facts.ts';
import type { LogLeafKind } from '../../../src/vocabulary.ts';
import { filesOfLog, NAME, OTHER_TRAIL_KEY, readKey, signedCheckpoint, tilesBetween, TRAIL_KEY } from './built-logs.ts';

type Files = Map<string, Uint8Array>;
const inMemory = (files: Files): StoredFiles & { readonly reads: string[] } => {
  const reads: string[] = [];
  return {
    reads,
    get: async (key) => {
      reads.push(key);
      return await Promise.resolve(files.get(key) ?? null);
    },
    firstAfter: async (prefix, key) => {
      reads.push(`list ${key}`);
      const keys = [...files.keys()].filter((one) => one.startsWith(prefix) && one > key);
      return await Promise.resolve(keys.toSorted()[0] ?? null);
    },
  };
};

const { publicKey } = (await createSigner(readKey(TRAIL_KEY))).verifier;
const verifiersOf = (number: number): readonly Verifier[] => [verifierOf('log', originOf(number), publicKey)];
const originOf = (number: number): string => (number === 1 ? NAME : `${NAME}/${number}`);
const fact = (kind: LogLeafKind, seq: number): Uint8Array => entryOf(kind, { seq, id: `event-${seq}` });
const finals = (from: number, to: number): Uint8Array[] =>
  Array.from({ length: to - from + 1 }, (_, more) => fact('final', from + more));
const look = async (files: Files, log: Partial<KnownLog> = {}, toldSize = 0) =>
  await lookBeyond(inMemory(files), { number: 1, publishedSize: 300, keptSeq: 300, ...log }, verifiersOf, toldSize);
const noteOf = (files: Files, key: string): string => new TextDecoder().decode(files.get(key));

describe('where D1 was not rolled back', () => {
  it('nothing is known beyond it', async () => {
    const files = await filesOfLog(1, NAME, finals(1, 300));
    expect(await look(files)).toEqual({ known: null, highestSeq: 300, lastNumber: 1 });
  });

  it('nor where it has published nothing, and there are no files', async () => {
    const nothing = await look(new Map(), { publishedSize: 0, keptSeq: 0 });
    expect(nothing).toEqual({ known: null, highestSeq: 0, lastNumber: 1 });
  });
});

describe('the largest checkpoint that was signed', () => {
  it('is found among many', async () => {
    const sizes = [300, ...Array.from({ length: 9 }, (_, more) => 302 + more * 9)];
    const files = await filesOfLog(1, NAME, finals(1, 374), sizes);
    expect((await look(files)).known).toBe(noteOf(files, '1/checkpoint/000000000000374'));
  });

  it.each<[string, (files: Files) => void | Promise<void>]>([
    ['that is garbage', (files) => void files.set('1/checkpoint/000000000000900', Uint8Array.of(1, 2, 3))],
    [
      'by another key',
      async (files) => {
        const forged = await signedCheckpoint(NAME, finals(1, 900), OTHER_TRAIL_KEY);
        files.set('1/checkpoint/000000000000900', new TextEncoder().encode(forged));
      },
    ],
    [
      'of another log',
      async (files) => {
        const other = await signedCheckpoint(originOf(3), finals(1, 900));
        files.set('1/checkpoint/000000000000900', new TextEncoder().encode(other));
      },
    ],
    [
      'of another size',
      (files) => void files.set('1/checkpoint/000000000000900', files.get('1/checkpoint/000000000000400')!),
    ],
    ['with a name that is no size', (files) => void files.set('1/checkpoint/zzz', Uint8Array.of(1))],
  ])('is not one %s that stands above it', async (_name, forge) => {
    const files = await filesOfLog(1, NAME, finals(1, 400), [300, 400]);
    const signed = noteOf(files, '1/checkpoint/000000000000400');
    await forge(files);
    expect(await look(files)).toEqual({ known: signed, highestSeq: 400, lastNumber: 1 });
  });
});

describe('the highest number that was ever sealed', () => {
  it('is that of the last event, where facts of older ones stand last', async () => {
    const settled = Array.from({ length: 600 }, (_, index) => fact('settled', 1 + index));
    const files = await filesOfLog(1, NAME, [...finals(1, 700), ...settled], [300, 1_300]);
    expect((await look(files)).highestSeq).toBe(700);
  });

  it('is found anywhere in the last chunk, whatever the order of its leaves, without reading bundles of long ago', async () => {
    const entries = [...finals(1, 1_800), fact('counted', 9_999), ...finals(1_801, 2_600)];
    const files = inMemory(await filesOfLog(1, NAME, entries, [300, entries.length]));
    const { highestSeq } = await lookBeyond(
      files,
      { number: 1, publishedSize: 300, keptSeq: 300 },
      verifiersOf,
      0,
      400,
    );
    expect(highestSeq).toBe(9_999);
    const bundles = files.reads.filter((key) => key.startsWith('1/tile/entries/'));
    expect(bundles.length).toBeLessThan(8);
    const tiles = files.reads.filter((key) => /^1\/tile\/\d/.test(key));
    expect(tiles).toEqual([...new Set(tiles)]);
  });

  it('is also that of files which were put and never signed', async () => {
    const files = await filesOfLog(1, NAME, finals(1, 400), [300, 400]);
    for (const [path, bytes] of tilesBetween(400, finals(1, 900))) files.set(`1/${path}`, bytes);
    expect(await look(files)).toMatchObject({ highestSeq: 900, known: expect.stringContaining('\n400\n') });
  });

  it('is also that of a whole bundle which was put last', async () => {
    const files = await filesOfLog(1, NAME, finals(1, 400), [300, 400]);
    for (const [path, bytes] of tilesBetween(400, finals(1, 512))) files.set(`1/${path}`, bytes);
    expect((await look(files)).highestSeq).toBe(512);
  });

  it('is not one that somebody without the key has made up', async () => {
    const files = await filesOfLog(1, NAME, finals(1, 400), [300, 400]);
    files.set('1/tile/entries/001.p/200', bundleOf([...finals(257, 455), fact('final', 2 ** 50)]));
    expect((await look(files)).highestSeq).toBe(455);
  });

  const bound = 300 + 100 + UNSEALED_NUMBERS_MAX_COUNT;
  it.each<[string, (files: Files) => void]>([
    ['a bundle is missing', (files) => void files.delete('1/tile/entries/001.p/144')],
    ['a hash tile is missing', (files) => void files.delete('1/tile/1/000.p/1')],
    [
      'a bundle is not what was signed',
      (files) => void files.set('1/tile/entries/001.p/144', bundleOf([...finals(257, 399), fact('final', 390)])),
    ],
    ['a bundle is no bundle', (files) => void files.set('1/tile/entries/001.p/144', Uint8Array.of(9, 9, 9))],
  ])('is taken to be as high as the log can have come, where %s', async (_name, spoil) => {
    const files = await filesOfLog(1, NAME, finals(1, 400), [300, 400]);
    spoil(files);
    expect((await look(files)).highestSeq).toBe(bound);
  });

  it('is taken so, too, where somebody has put bundles without an end', async () => {
    const files = await filesOfLog(1, NAME, finals(1, 400), [300, 400]);
    const endless = inMemory(files);
    const bundle = bundleOf(finals(1, 256));
    const get = async (key: string) =>
      /^1\/tile\/entries\/[x\d/]+$/.test(key) && !files.has(key) && endless.reads.length < 2_000
        ? (endless.reads.push(key), bundle)
        : await endless.get(key);
    const known = { number: 1, publishedSize: 300, keptSeq: 300 };
    expect((await lookBeyond({ ...endless, get }, known, verifiersOf)).highestSeq).toBe(bound);
    expect(endless.reads.length).toBeLessThan(200);
  });

  it('is taken so, too, where somebody outside knows a size and there are no files of it', async () => {
    const files = await filesOfLog(1, NAME, finals(1, 300));
    expect(await look(files, {}, 400)).toEqual({ known: null, highestSeq: bound, lastNumber: 1 });
  });
});

it('a log that D1 has forgotten altogether counts too, and its number is not given again', async () => {
  const files = await filesOfLog(1, NAME, finals(1, 300));
  const second = [entryOf('resumed', { log: 2 }), ...finals(400, 410)];
  for (const [key, bytes] of await filesOfLog(2, originOf(2), second)) files.set(key, bytes);
  const note = noteOf(files, '2/checkpoint/000000000000012');
  expect(await look(files)).toEqual({ known: note, highestSeq: 410, lastNumber: 2 });
});
