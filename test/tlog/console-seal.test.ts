import { beforeAll, describe, expect, it } from 'vitest';
import { checkSeal } from '../../console/views/activity/seal.ts';
import { checkpointBody } from '../../src/tlog/checkpoint.ts';
import { grow, inclusionProof, leafHash, nodeHash, rootOf } from '../../src/tlog/merkle.ts';
import { createSigner, noteText, type Signer, signNote, verifierText } from '../../src/tlog/note.ts';
import { receiptText } from '../../src/tlog/proof.ts';

const ORIGIN = 'log.example/trail';
const SIZE = 11;
const entries = Array.from({ length: SIZE }, (_, index) =>
  new TextEncoder().encode(JSON.stringify({ id: `event-${index}` })),
);
const leaves = entries.map(leafHash);
const nodeAt = async (level: number, index: number): Promise<Uint8Array> => {
  if (level === 0) return await Promise.resolve(leaves[index] ?? new Uint8Array());
  return nodeHash(await nodeAt(level - 1, index * 2), await nodeAt(level - 1, index * 2 + 1));
};

let signer: Signer;
let receiptOf: (index: number) => Promise<string>;
beforeAll(async () => {
  signer = await createSigner({ kind: 'log', name: ORIGIN, keyId: '', seed: new Uint8Array(32).fill(3) });
  const body = checkpointBody({ origin: ORIGIN, size: SIZE, root: rootOf(grow([], 0, leaves)) });
  const checkpoint = noteText({ body, signatures: [await signNote(body, signer)] });
  receiptOf = async (index) =>
    receiptText({
      entry: entries[index] ?? new Uint8Array(),
      index,
      proof: await inclusionProof(index, SIZE, nodeAt),
      checkpoint,
    });
});
const keyOf = (origin: string) => (origin === ORIGIN ? verifierText(signer.verifier) : undefined);

describe('the seal of an event', () => {
  it.each(entries.map((_entry, index) => index))('is proven by the receipt of entry %i', async (index) => {
    const seal = { index, size: SIZE, origin: ORIGIN, isSignatureChecked: true };
    expect(await checkSeal(await receiptOf(index), `event-${index}`, keyOf)).toEqual(seal);
  });

  it.each<[string, (receipt: string) => string]>([
    ['of another place', (receipt) => receipt.replace('index 5', 'index 6')],
    ['with another size', (receipt) => receipt.replace(`\n${SIZE}\n`, `\n${SIZE + 1}\n`)],
    ['without a step of its proof', (receipt) => receipt.replace(/(index 5\n)[^\n]+\n/, '$1')],
    ['with another entry', (receipt) => receipt.replace(/extra .+/, `extra ${btoa('{"id":"event-5","x":1}')}`)],
    ['with another signature', (receipt) => receipt.replace(/[A-Za-z0-9]{4}(.{3})\n$/, 'AAAA$1\n')],
    ['without a signature', (receipt) => receipt.split('\n\n').slice(0, 2).join('\n\n')],
    ['that is none', () => '<html>'],
  ])('is not proven by a receipt %s', async (_what, change) => {
    expect(await checkSeal(change(await receiptOf(5)), 'event-5', keyOf)).toBe('wrong');
  });

  it('is not proven by the receipt of another event, nor under a key that nobody named', async () => {
    expect(await checkSeal(await receiptOf(4), 'event-5', keyOf)).toBe('wrong');
    expect(await checkSeal(await receiptOf(5), 'event-5', () => undefined)).toBe('wrong');
    const other = await createSigner({ kind: 'log', name: ORIGIN, keyId: '', seed: new Uint8Array(32) });
    expect(await checkSeal(await receiptOf(5), 'event-5', () => verifierText(other.verifier))).toBe('wrong');
  });
});
