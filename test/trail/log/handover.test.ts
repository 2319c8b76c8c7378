import { describe, expect, it } from 'vitest';
import { createSigner, verifierText } from '../../../src/tlog/note.ts';
import { entryOf } from '../../../src/trail/log/facts.ts';
import { handoverEntry } from '../../../src/trail/log/handover.ts';
import { KEY, ORIGIN } from './rig.ts';
import { NEXT, STRANGER, successorIn, verifierFor } from './rotation-keys.ts';

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
