import { parseEntry } from '../../../commands/verify/judge/entries.ts';
import { createKeys } from '../../../commands/verify/judge/keys.ts';
import { createSigner, type PrivateKey, type Verifier, verifierOf, verifierText } from '../../../src/tlog/note.ts';
import { KEY, keyOf, ORIGIN } from './rig.ts';

// The keys of tests in which one key of a log hands over to another.

export const NEXT = await keyOf(ORIGIN, new Uint8Array(32).fill(7));
export const STRANGER = await keyOf(ORIGIN, new Uint8Array(32).fill(8));
export const verifierFor = async (key: PrivateKey): Promise<Verifier> => (await createSigner(key)).verifier;
export const [FIRST_KEY, NEXT_KEY, STRANGER_KEY] = [
  verifierText(await verifierFor(KEY)),
  verifierText(await verifierFor(NEXT)),
  verifierText(await verifierFor(STRANGER)),
];

/** The key that an entry hands over to, as `verify` follows it; null: it leads nowhere. */
export async function successorIn(entry: Uint8Array, from: Verifier): Promise<Verifier | null> {
  const keys = createKeys(from.name, [from.publicKey]);
  const { fact, body } = { body: {}, ...parseEntry(entry) };
  if (fact !== 'handover' || !(await keys.handOver(0, body))) return null;
  const [publicKey] = keys.last();
  return publicKey === undefined ? null : verifierOf('log', from.name, publicKey);
}
