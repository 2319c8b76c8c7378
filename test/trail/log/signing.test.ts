import { describe, expect, it } from 'vitest';
import {
  createSigner,
  noteText,
  type PrivateKey,
  type Signer,
  signNote,
  verifierText,
} from '../../../src/tlog/note.ts';
import { createSigning } from '../../../src/trail/log/signing.ts';
import { KEY, ORIGIN } from './rig.ts';
import { FIRST_KEY, NEXT, NEXT_KEY, STRANGER, STRANGER_KEY } from './rotation-keys.ts';

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
