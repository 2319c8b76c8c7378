import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { parseEntry } from '../../../commands/verify/judge/entries.ts';
import { createKeys } from '../../../commands/verify/judge/keys.ts';
import {
  createSigner,
  isSignedBy,
  noteText,
  parseNote,
  type PrivateKey,
  type Signer,
  signNote,
  type Verifier,
  verifierOf,
  verifierText,
} from '../../../src/tlog/note.ts';
import { entryOf } from '../../../src/trail/log/facts.ts';
import { handoverEntry } from '../../../src/trail/log/handover.ts';
import { createSigning } from '../../../src/trail/log/signing.ts';
import { addRows, clearTrail, createRig, finalRow, KEY, keyOf, ORIGIN, readLeaves, readLog } from './rig.ts';

// A key of the log hands over to the next one by a leaf of the log, and until the operator promotes the new key both sign.

const NEXT = await keyOf(ORIGIN, new Uint8Array(32).fill(7));
const STRANGER = await keyOf(ORIGIN, new Uint8Array(32).fill(8));
const verifierFor = async (key: PrivateKey): Promise<Verifier> => (await createSigner(key)).verifier;
const [FIRST_KEY, NEXT_KEY, STRANGER_KEY] = [
  verifierText(await verifierFor(KEY)),
  verifierText(await verifierFor(NEXT)),
  verifierText(await verifierFor(STRANGER)),
];

beforeEach(clearTrail);

/** The key that an entry hands over to, as `verify` follows it; null: it leads nowhere. */
async function successorIn(entry: Uint8Array, from: Verifier): Promise<Verifier | null> {
  const keys = createKeys(from.name, [from.publicKey]);
  const { fact, body } = { body: {}, ...parseEntry(entry) };
  if (fact !== 'handover' || !(await keys.handOver(0, body))) return null;
  const [publicKey] = keys.last();
  return publicKey === undefined ? null : verifierOf('log', from.name, publicKey);
}

let events = 0;
/** Adds an event, and runs sealing with these keys. */
async function seal(key: PrivateKey, nextKey: PrivateKey | null = null) {
  events += 1;
  await addRows([finalRow({ id: `r-${events}` })]);
  const rig = createRig({ key, nextKey });
  const { sealed } = await rig.run();
  return { sealed, failures: rig.failures().map(({ because }) => because), lines: rig.lines };
}

/** Which of the keys have signed the last checkpoint. */
async function signersOfLast(): Promise<readonly string[]> {
  const row = await env.DB.prepare('select note from trail_checkpoints order by size desc limit 1').first<{
    note: string;
  }>();
  const note = parseNote(row?.note ?? '');
  const named = { first: KEY, next: NEXT, stranger: STRANGER };
  const signed = await Promise.all(
    Object.entries(named).map(async ([name, key]) =>
      note !== null && (await isSignedBy(note, await verifierFor(key))) ? [name] : [],
    ),
  );
  return signed.flat();
}

describe('a rotation', () => {
  it('hands over in the log, lets both keys sign until the new one is promoted, and then the new one alone', async () => {
    await seal(KEY);
    expect(await signersOfLast()).toEqual(['first']);

    const handed = await seal(KEY, NEXT);
    expect(handed).toMatchObject({ sealed: 2, failures: [] });
    expect(handed.lines).toContainEqual(
      expect.objectContaining({ event: 'trail.handover', origin: ORIGIN, index: 1, to: NEXT_KEY }),
    );
    expect((await readLeaves()).map(({ kind }) => kind)).toEqual(['final', 'handover', 'final']);
    expect((await readLog()).key).toBe(NEXT_KEY);
    expect(await signersOfLast()).toEqual(['first', 'next']);

    // It happens once, however often the cron runs.
    expect(await seal(KEY, NEXT)).toMatchObject({ sealed: 1, failures: [] });
    expect(await signersOfLast()).toEqual(['first', 'next']);

    expect(await seal(NEXT, NEXT)).toMatchObject({ sealed: 1, failures: [] });
    expect(await seal(NEXT)).toMatchObject({ sealed: 1, failures: [] });
    expect(await signersOfLast()).toEqual(['next']);
  });

  it('leads whoever pinned the first key to the next one, and from that to the one after it', async () => {
    await seal(KEY);
    await seal(KEY, NEXT);
    await seal(NEXT);
    await seal(NEXT, STRANGER);
    const entries = (await readLeaves()).filter(({ kind }) => kind === 'handover').map(({ entry }) => entry ?? '');
    let key: Verifier | null = await verifierFor(KEY);
    for (const entry of entries) key = key === null ? null : await successorIn(new TextEncoder().encode(entry), key);
    expect(entries).toHaveLength(2);
    expect(key).toEqual(await verifierFor(STRANGER));
    expect(JSON.parse(entries[0] ?? '')).toEqual({
      v: 1,
      fact: 'handover',
      at: expect.stringMatching(/^2026-11-24T12:00:10/),
      to: NEXT_KEY,
      signature: expect.stringMatching(/^— \S+ [A-Za-z0-9+/]+=*$/),
    });
  });

  it('waits for the first checkpoint, so that the key that hands over is one that has signed', async () => {
    expect(await seal(KEY, NEXT)).toMatchObject({ sealed: 1, failures: [] });
    // The next row comes behind it.
    expect(await seal(KEY, NEXT)).toMatchObject({ sealed: 2, failures: [] });
    expect((await readLeaves()).map(({ kind }) => kind)).toEqual(['final', 'handover', 'final']);
  });

  it('is done by one of two runs at once', async () => {
    await seal(KEY);
    await addRows([finalRow({ id: 'more' })]);
    await Promise.all([createRig({ nextKey: NEXT }).run(), createRig({ nextKey: NEXT }).run()]);
    await createRig({ nextKey: NEXT }).run();
    expect((await readLeaves()).map(({ kind }) => kind).toSorted((a, b) => a.localeCompare(b))).toEqual([
      'final',
      'final',
      'handover',
    ]);
    expect(await signersOfLast()).toEqual(['first', 'next']);
  });

  it('goes on where the run was killed after any of its batches', async () => {
    let [number, reached] = [0, 0];
    do {
      number += 1;
      // oxlint-disable-next-line no-await-in-loop -- each makes the same log anew
      reached = await killedAfter(number);
      // oxlint-disable-next-line no-await-in-loop -- as above
      await createRig({ nextKey: NEXT }).run();
      // oxlint-disable-next-line no-await-in-loop -- as above
      expect((await readLeaves()).map(({ kind }) => kind)).toEqual(['final', 'handover', 'final']);
      // oxlint-disable-next-line no-await-in-loop -- as above
      expect(await signersOfLast()).toEqual(['first', 'next']);
    } while (reached === number);
    // Reading the head, assigning the hand-over, reading the leaves, publishing.
    expect(reached).toBeGreaterThan(4);
  });

  /** A log with one checkpoint, and a run with both keys that dies after so many batches. Gives how many it has sent. */
  async function killedAfter(number: number): Promise<number> {
    await clearTrail();
    await addRows([finalRow({ id: 'one' })]);
    await createRig().run();
    await addRows([finalRow({ id: 'two' })]);
    let batches = 0;
    const after = ({ name }: { readonly name: string }): void => {
      if (name === 'batch') batches += 1;
      if (batches >= number) throw new Error('killed');
    };
    await createRig({ nextKey: NEXT, after })
      .run()
      .catch(() => null);
    return batches;
  }
});

describe('a key that is not the one of the log signs nothing', () => {
  it.each<[string, PrivateKey, PrivateKey | null, string]>([
    ['in place of the first, with one that it would hand over to', STRANGER, NEXT, 'key_changed'],
    ['whose successor has a wrong id', KEY, { ...NEXT, keyId: '00000000' }, 'key_invalid'],
  ])('%s', async (_, key, nextKey, because) => {
    await seal(KEY);
    expect(await seal(key, nextKey)).toMatchObject({ sealed: 0, failures: [because] });
    expect(await readLog()).toMatchObject({ published_size: 1, key: null, stopped: null });
    // With the right key the log goes on from where it was.
    expect(await seal(KEY)).toMatchObject({ sealed: 2, failures: [] });
  });
});

describe('who signs, and who hands over', () => {
  /** The log as D1 has it, and the keys that signed its last checkpoint. */
  interface State {
    readonly handedTo?: string | null;
    readonly by?: readonly PrivateKey[];
    readonly origin?: string;
  }
  const noteBy = async (keys: readonly PrivateKey[]): Promise<string | null> => {
    const body = `${ORIGIN}\n1\n${'A'.repeat(43)}=\n`;
    const signers = await Promise.all(keys.map(async (key) => await createSigner(key)));
    const signatures = await Promise.all(signers.map(async (signer) => await signNote(body, signer)));
    return keys.length === 0 ? null : noteText({ body, signatures });
  };
  const NAMES = new Map([
    [FIRST_KEY, 'first'],
    [NEXT_KEY, 'next'],
    [STRANGER_KEY, 'stranger'],
  ]);
  const nameOf = ({ verifier }: Signer): string => NAMES.get(verifierText(verifier)) ?? 'unknown';
  const wrongId = (key: PrivateKey): PrivateKey => ({ ...key, keyId: '00000000' });

  it.each<[string, State, PrivateKey, PrivateKey | null, string, string | null]>([
    ['one key', {}, KEY, null, 'first', null],
    ['a next key that is to take over', {}, KEY, NEXT, 'first', 'next'],
    ['a next key before the first checkpoint', { by: [] }, KEY, NEXT, 'first', null],
    ['a next key that is the same', {}, KEY, KEY, 'first', null],
    ['a next key, and a stranger that would hand over to it', {}, STRANGER, NEXT, 'stranger', null],
    ['a next key that took over', { handedTo: NEXT_KEY }, KEY, NEXT, 'first next', null],
    ['a next key that took over and was promoted', { handedTo: NEXT_KEY, by: [KEY, NEXT] }, NEXT, null, 'next', null],
    ['the same one as the next one still', { handedTo: NEXT_KEY, by: [KEY, NEXT] }, NEXT, NEXT, 'next', null],
    ['a further next key', { handedTo: NEXT_KEY, by: [NEXT] }, NEXT, STRANGER, 'next', 'stranger'],
    ['a key that took over in the log before', { handedTo: NEXT_KEY, by: [] }, KEY, NEXT, 'first next', null],
    ['the former key alone', { handedTo: NEXT_KEY, by: [KEY, NEXT] }, KEY, null, 'key_changed', null],
    [
      'a stranger in place of the former key',
      { handedTo: NEXT_KEY, by: [KEY, NEXT] },
      STRANGER,
      NEXT,
      'key_changed',
      null,
    ],
    [
      'a stranger in place of the next key',
      { handedTo: NEXT_KEY, by: [KEY, NEXT] },
      KEY,
      STRANGER,
      'key_changed',
      null,
    ],
    ['a stranger alone', { handedTo: NEXT_KEY, by: [NEXT] }, STRANGER, null, 'key_changed', null],
    ['the former key after it was replaced', { handedTo: NEXT_KEY, by: [NEXT] }, KEY, NEXT, 'key_changed', null],
    ['a key of another name', { origin: 'other.example' }, KEY, null, 'key_renamed', null],
    ['a key with a wrong id', {}, wrongId(KEY), null, 'key_invalid', null],
    ['a next key with a wrong id', {}, KEY, wrongId(NEXT), 'key_invalid', null],
  ])('with %s', async (_, { handedTo = null, by = [KEY], origin = ORIGIN }, key, nextKey, signs, takesOver) => {
    const signing = createSigning({ key, nextKey });
    const log = { number: 1, origin, key: handedTo, published_size: by.length === 0 ? 0 : 1 };
    const signers = await signing.signersOf(log, await noteBy(by));
    expect(signers.ok ? signers.value.map(nameOf).join(' ') : signers.error).toBe(signs);
    const handover = await signing.handoverOf(log, await noteBy(by));
    expect(handover === null ? null : nameOf(handover.to)).toBe(takesOver);
  });
});

const [from, to] = [await createSigner(KEY), await verifierFor(NEXT)];

describe('a hand-over', () => {
  const change = (entry: Uint8Array, other: Readonly<Record<string, unknown>>): Uint8Array => {
    const {
      v: _v,
      fact: _fact,
      ...body
    } = JSON.parse(new TextDecoder().decode(entry)) as Readonly<Record<string, unknown>>;
    return entryOf('handover', { ...body, ...other });
  };

  it('is read with the key that signed it', async () => {
    expect(await successorIn(await handoverEntry(from, to, 0), from.verifier)).toEqual(to);
  });

  it.each<[string, () => Promise<Uint8Array>]>([
    ['signed by the new key', async () => await handoverEntry(await createSigner(NEXT), to, 0)],
    ['signed by a stranger', async () => await handoverEntry(await createSigner(STRANGER), to, 0)],
    [
      'with the signature of another one',
      async () => change(await handoverEntry(from, to, 0), { to: verifierText(await verifierFor(STRANGER)) }),
    ],
    [
      'signed under the name of another log',
      async () => await handoverEntry(await createSigner(KEY, `${ORIGIN}/2`), to, 0),
    ],
    [
      'to a key of another log',
      async () => await handoverEntry(from, (await createSigner(NEXT, `${ORIGIN}/2`)).verifier, 0),
    ],
    ['to the key of a witness', async () => await handoverEntry(from, { ...to, kind: 'witness' }, 0)],
    ['to no key', async () => change(await handoverEntry(from, to, 0), { to: 'none' })],
    ['without a signature', async () => change(await handoverEntry(from, to, 0), { signature: '' })],
    ['that is another fact', async () => await Promise.resolve(entryOf('resumed', { to: verifierText(to) }))],
    ['that is no JSON', async () => await Promise.resolve(new TextEncoder().encode('{'))],
  ])('%s leads nowhere', async (_, entry) => {
    expect(await successorIn(await entry(), from.verifier)).toBeNull();
  });
});
