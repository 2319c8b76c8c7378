import { beforeAll, describe, expect, it } from 'vitest';
import { checkSeal } from '../../console/views/activity/seal.ts';
import type { AuditEvent } from '../../package/client/types.ts';
import { canonicalJson } from '../../src/kit/digest.ts';
import { checkpointBody } from '../../src/tlog/checkpoint.ts';
import { grow, inclusionProof, leafHash, nodeHash, rootOf } from '../../src/tlog/merkle.ts';
import { createSigner, noteText, type Signer, signNote, verifierText } from '../../src/tlog/note.ts';
import { receiptText } from '../../src/tlog/proof.ts';

const ORIGIN = 'log.example/trail';
const SIZE = 11;
const SAMPLE: AuditEvent = {
  id: '',
  seq: 0,
  occurred_at: '2026-11-28T10:00:00.000Z',
  settled_at: '2026-11-28T10:00:00.120Z',
  action: 'service_account_token.create',
  status: 'success',
  count: 1,
  last_at: '2026-11-28T10:00:00.000Z',
  actor: { type: 'service_account', issuer: 'https://issuer.example', subject: 'ci', label: null },
  workspace_uuid: null,
  token_id: null,
  token_name: 'deploy',
  request_id: 'request-1',
  ip: '192.0.2.1',
  user_agent: null,
  upstream_status: 201,
  error_code: null,
  detail: {},
};
/** An event as the service tells it, with a detail whose keys stand in another order than in its entry. */
const eventOf = (index: number): AuditEvent => ({
  ...SAMPLE,
  id: `event-${index}`,
  seq: index + 1,
  detail: { scopes: ['api:read'], role: 'ci', granted: { uses: 1, until: 'May' } },
});
const { count: _count, last_at: _lastAt, ...WHOLE } = SAMPLE;
/** The entries of whole events, and of one that was open when it was first sealed. */
const entryOf = (index: number, change: object = {}) => {
  const { id, seq } = eventOf(index);
  const outcome = { granted: { until: 'May', uses: 1 } };
  const settled = { id, seq, settled_at: SAMPLE.settled_at, status: SAMPLE.status, token_id: null, outcome };
  const whole = { ...WHOLE, id, seq, detail: { role: 'ci', scopes: ['api:read'] }, outcome };
  const [fact, body] = index === 2 ? ['settled', settled] : ['final', whole];
  return new TextEncoder().encode(canonicalJson({ v: 1, fact, ...body, ...change }));
};
const UNAUTHENTIC = 7;
const entries = Array.from({ length: SIZE }, (_, index) =>
  entryOf(index, index === UNAUTHENTIC ? { unauthentic: true } : {}),
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
    const isAuthentic = index !== UNAUTHENTIC;
    const seal = { index, size: SIZE, origin: ORIGIN, isSignatureChecked: true, isAuthentic };
    expect(await checkSeal(await receiptOf(index), eventOf(index), keyOf)).toEqual(seal);
  });

  it.each<[string, (receipt: string) => string]>([
    ['of another place', (receipt) => receipt.replace('index 5', 'index 6')],
    ['with another size', (receipt) => receipt.replace(`\n${SIZE}\n`, `\n${SIZE + 1}\n`)],
    ['without a step of its proof', (receipt) => receipt.replace(/(index 5\n)[^\n]+\n/, '$1')],
    [
      'with another entry',
      (receipt) => receipt.replace(/extra .+/, `extra ${btoa(new TextDecoder().decode(entryOf(5, { ip: null })))}`),
    ],
    ['with another signature', (receipt) => receipt.replace(/(?<=\n— \S+ .{20}).{4}/, 'AAAA')],
    ['without a signature', (receipt) => receipt.split('\n\n').slice(0, 2).join('\n\n')],
    ['that is none', () => '<html>'],
  ])('is not proven by a receipt %s', async (_what, change) => {
    expect(await checkSeal(change(await receiptOf(5)), eventOf(5), keyOf)).toBe('wrong');
  });

  it.each<[string, number, Partial<AuditEvent>]>([
    ['status', 5, { status: 'failure' }],
    ['time', 5, { occurred_at: '2026-11-28T10:00:00.001Z' }],
    ['actor', 5, { actor: { ...SAMPLE.actor, subject: 'mallory' } }],
    ['scope', 5, { detail: { ...eventOf(5).detail, scopes: ['api:read', 'api:full'] } }],
    ['addition to its detail', 5, { detail: { ...eventOf(5).detail, approved_by: 'ada' } }],
    [
      'outcome of an attempt that was open when it was first sealed',
      2,
      { detail: { granted: { uses: 2, until: 'May' } } },
    ],
  ])('is not that of an event that is shown with another %s', async (_what, index, change) => {
    expect(await checkSeal(await receiptOf(index), { ...eventOf(index), ...change }, keyOf)).toBe('wrong');
  });

  it('is proven but for the signature where the service has lost the key of the log', async () => {
    expect(await checkSeal(await receiptOf(5), eventOf(5), () => null)).toMatchObject({ isSignatureChecked: false });
    expect(await checkSeal(await receiptOf(4), eventOf(5), () => null)).toBe('wrong');
  });

  it('is not proven by the receipt of another event, nor under a key that nobody named', async () => {
    expect(await checkSeal(await receiptOf(4), eventOf(5), keyOf)).toBe('wrong');
    expect(await checkSeal(await receiptOf(5), eventOf(5), () => undefined)).toBe('wrong');
    const other = await createSigner({ kind: 'log', name: ORIGIN, keyId: '', seed: new Uint8Array(32) });
    expect(await checkSeal(await receiptOf(5), eventOf(5), () => verifierText(other.verifier))).toBe('wrong');
  });
});
