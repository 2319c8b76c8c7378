import { describe, expect, it } from 'vitest';
import { auditPathSides } from '../../src/tlog/audit-path.ts';
import { checkpointBody, parseCheckpoint, parseCheckpointBody } from '../../src/tlog/checkpoint.ts';
import {
  EMPTY_ROOT,
  type Hash,
  isConsistent,
  leafHash,
  nodeHash,
  rootOfInclusion,
  sameHash,
} from '../../src/tlog/merkle.ts';
import {
  cosign,
  cosignedAtSeconds,
  createSigner,
  isSignature,
  isSignedBy,
  noteText,
  parseNote,
  parsePrivateKey,
  parseSignatureLine,
  parseVerifier,
  type Signer,
  signNote,
  verifierOf,
  verifierText,
} from '../../src/tlog/note.ts';
import { parseReceipt, proveReceipt } from '../../src/tlog/proof.ts';
import { entriesOfBundle, hashesOfTile, parseTilePath, tileRoot, tileWidth } from '../../src/tlog/tiles.ts';
import { parseSubmission } from '../../src/tlog/witnessing.ts';

// What is no checkpoint, no note, no key and no proof, however much it looks like one.

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
const ROOT = base64(new Uint8Array(32).fill(3));
const [SHORT, LONG] = [base64(new Uint8Array(31)), base64(new Uint8Array(33))];
const BODY = `log.example\n5\n${ROOT}\n`;
const LINE = '— log.example AAAAAAA=';
/** Sixteen digits, and more than a number holds exactly. */
const TOO_LARGE = '9007199254740993';

/** The text of a verifier key whose id is right for what stands in it. */
const verifierWith = (publicKey: Uint8Array): string => verifierText(verifierOf('log', 'log.example', publicKey));
/** The same with another algorithm, under the id that a key of a kind would have. */
const underAlgorithm = (algorithm: number, kind: 'log' | 'witness'): string => {
  const { keyId } = verifierOf(kind, 'log.example', new Uint8Array(32));
  return `log.example+${keyId}+${base64(Uint8Array.of(algorithm, ...new Uint8Array(32)))}`;
};
const privateKey = (bytes: Uint8Array): string => `PRIVATE+KEY+log.example+00000000+${base64(bytes)}`;
const seeded = (algorithm: number, length: number): Uint8Array => Uint8Array.of(algorithm, ...new Uint8Array(length));

const VERIFIER = verifierWith(new Uint8Array(32));
const RECEIPT = `c2sp.org/tlog-proof@v1\nextra AA==\nindex 7\n${ROOT}\n\nlog.example\n`;
const SUBMISSION = `old 5\n${ROOT}\n\nlog.example\n`;
const lines = (count: number): string => `${ROOT}\n`.repeat(count);

interface Reader {
  readonly read: (text: string) => unknown;
  readonly good: readonly string[];
  readonly none: Readonly<Record<string, string>>;
}

const READERS: Readonly<Record<string, Reader>> = {
  'body of a checkpoint': {
    read: parseCheckpointBody,
    good: [BODY, `${BODY}an extension\n`, BODY.replace('5', '0'), BODY.replace('5', '9007199254740991')],
    none: {
      'with a space in its origin': BODY.replace('log.', 'log '),
      'with a plus in its origin': BODY.replace('log.', 'log+'),
      'without an origin': BODY.replace('log.example', ''),
      'without a size': BODY.replace('5', ''),
      'whose size has a zero before it': BODY.replace('5', '05'),
      'whose size is negative': BODY.replace('5', '-5'),
      'whose size is no whole number': BODY.replace('5', '5.5'),
      'whose size is too large to count with': BODY.replace('5', TOO_LARGE),
      'without a root': BODY.replace(ROOT, ''),
      'whose root is no base64': BODY.replace(ROOT, 'not base64'),
      'whose root is short': BODY.replace(ROOT, SHORT),
      'whose root is long': BODY.replace(ROOT, LONG),
      'without the newline at its end': BODY.slice(0, -1),
    },
  },
  checkpoint: {
    read: parseCheckpoint,
    good: [`${BODY}\n${LINE}\n`],
    none: { 'that nobody signed': `${BODY}\n`, 'without a size': `log.example\n\n${LINE}\n` },
  },
  note: {
    read: parseNote,
    good: [`text\n\n${LINE}\n`, `\n\n${LINE}\n`, `one\n\ntwo\n\n${LINE}\n${LINE}\n`],
    none: {
      'without an empty line': `x${LINE}\n`,
      'without a newline at its end': `text\n\n${LINE}`,
      'with another character in its place': `text\n\n${LINE}x`,
      'without a signature': 'text\n\n',
      'with a line that is no signature': `text\n\n${LINE}\nor so\n`,
    },
  },
  'signature line': {
    read: parseSignatureLine,
    good: [LINE, `— ${'a'.repeat(255)} AAAAAAA=`],
    none: {
      'with a hyphen': LINE.replace('—', '-'),
      'without a name': '—  AAAAAAA=',
      'with a plus in its name': LINE.replace('log.', 'log+'),
      'with a name that is too long': `— ${'a'.repeat(256)} AAAAAAA=`,
      'with no more than a key id': '— log.example AAAAAA==',
      'with less than a key id': '— log.example AAAA',
      'whose signature is no base64': '— log.example AAAAA',
      'with more behind it': `${LINE} AA==`,
    },
  },
  'verifier key': {
    read: parseVerifier,
    good: [VERIFIER, underAlgorithm(1, 'log'), underAlgorithm(4, 'witness')],
    none: {
      'with the id of another name': VERIFIER.replace('log.', 'log2.'),
      'with the id of another key': VERIFIER.replace('+AQAA', '+AQAB'),
      'that is short': verifierWith(new Uint8Array(31)),
      'that is long': verifierWith(new Uint8Array(33)),
      'that is no base64': `${VERIFIER}A`,
      'without a key': 'log.example+00000000+',
      'of an algorithm that we do not know, under the id of a log': underAlgorithm(2, 'log'),
      'of an algorithm that we do not know, under the id of a witness': underAlgorithm(2, 'witness'),
    },
  },
  'private key': {
    read: parsePrivateKey,
    good: [privateKey(seeded(1, 32)), privateKey(seeded(4, 32))],
    none: {
      'with another word before it': privateKey(seeded(1, 32)).replace('KEY', 'KEX'),
      'that is short': privateKey(seeded(1, 31)),
      'that is long': privateKey(seeded(1, 33)),
      'that is no base64': `${privateKey(seeded(1, 32))}A`,
      'without a seed': 'PRIVATE+KEY+log.example+00000000+',
      'of an algorithm that we do not know': privateKey(seeded(2, 32)),
    },
  },
  receipt: {
    read: parseReceipt,
    good: [RECEIPT, RECEIPT.replace(`${ROOT}\n`, '')],
    none: {
      'of another version': RECEIPT.replace('@v1', '@v2'),
      'without its entry': RECEIPT.replace('extra AA==\n', ''),
      'whose entry has no name': RECEIPT.replace('extra ', ''),
      'whose entry is no base64': RECEIPT.replace('AA==', 'A'),
      'whose index is not one': RECEIPT.replace('index 7', 'index x'),
      'whose index has no name': RECEIPT.replace('index ', ''),
      'whose index is negative': RECEIPT.replace('7', '-7'),
      'whose index has a zero before it': RECEIPT.replace('7', '07'),
      'whose index is too large to count with': RECEIPT.replace('7', TOO_LARGE),
      'with a short hash': RECEIPT.replace(ROOT, SHORT),
      'with a hash that is no base64': RECEIPT.replace(ROOT, 'not base64'),
      'without an empty line': 'c2sp.org/tlog-proof@v1\nextra AA==\nindex 7\n',
    },
  },
  'submission to a witness': {
    read: parseSubmission,
    good: [SUBMISSION, `old 0\n${lines(63)}\nlog.example\n`],
    none: { 'with another word before its size': SUBMISSION.replace('old', 'odd') },
  },
  'path of a tile': {
    read: parseTilePath,
    good: ['tile/0/000.p/255', 'tile/63/x001/000', 'tile/entries/000'],
    none: { 'that is wider than a tile': 'tile/0/000.p/257', 'that is much wider': 'tile/0/000.p/999' },
  },
};

describe.each(Object.entries(READERS))('a %s', (_name, { read, good, none }) => {
  it.each(good)('is read as it should be: %j', (text) => {
    expect(read(text)).not.toBeNull();
  });

  it.each(Object.entries(none))('%s is none', (_case, text) => {
    expect(read(text)).toBeNull();
  });
});

const [A, B, C, D] = ['a', 'b', 'c', 'd'].map((text) => leafHash(new TextEncoder().encode(text))) as [
  Hash,
  Hash,
  Hash,
  Hash,
];
const CUT = A.slice(0, 31);

describe('a proof of consistency', () => {
  const three = nodeHash(nodeHash(A, B), C);
  const four = nodeHash(nodeHash(A, B), nodeHash(C, D));
  const [old, grown] = [nodeHash(C, A), nodeHash(C, nodeHash(A, B))];

  it('of three leaves and four is one', () => {
    expect(isConsistent(3, three, 4, four, [C, D, nodeHash(A, B)])).toBe(true);
  });

  it.each<[string, Parameters<typeof isConsistent>]>([
    ['from a size that is no whole number', [1.5, A, 2, nodeHash(A, B), [A, B]]],
    ['to a size that is no whole number', [1, A, 2.5, nodeHash(A, B), [B]]],
    ['from a negative size', [-1, A, 1, A, [A]]],
    ['from a larger size', [2, A, 1, A, []]],
    ['from no leaves, with another root', [0, A, 4, four, []]],
    ['from no leaves, with a hash', [0, EMPTY_ROOT, 4, four, [A]]],
    ['from no leaves to a root that is short', [0, EMPTY_ROOT, 4, CUT, []]],
    ['between two roots of one size', [3, three, 3, four, []]],
    ['of one size, with a hash', [3, three, 3, three, [A]]],
    ['with a root that is short, which another root was made over', [1, CUT, 2, nodeHash(CUT, B), [B]]],
    ['with a hash that is short, which a root was made over', [1, A, 2, nodeHash(A, CUT), [CUT]]],
    ['without hashes', [3, three, 4, four, []]],
    // The roots are made for these hashes, as somebody does who picks them.
    ['that ends below the root', [3, old, 8, grown, [A, B, C]]],
    ['that goes on above the root', [3, nodeHash(D, old), 4, nodeHash(D, grown), [A, B, C, D]]],
  ])('is none %s', (_case, proof) => {
    expect(isConsistent(...proof)).toBe(false);
  });
});

describe('a proof of inclusion', () => {
  it.each<[string, number, number, Hash, readonly Hash[]]>([
    ['for a place that is no whole number', 0.5, 2, A, [B]],
    ['for a size that is no whole number', 0, 1.5, A, [B]],
    ['for a place before the first', -1, 2, A, [B]],
    ['for a place behind the last', 2, 2, A, [B]],
    ['for a log without leaves', 0, 0, A, []],
  ])('is none %s', (_case, index, size, leaf, proof) => {
    expect(rootOfInclusion(leaf, index, size, proof)).toBeNull();
    expect(auditPathSides(index, size)).toBeNull();
  });

  it('is none from or over what is no hash', () => {
    expect([rootOfInclusion(CUT, 0, 1, []), rootOfInclusion(A, 0, 2, [CUT])]).toEqual([null, null]);
  });
});

it('a hash is not the same as a part of it, nor as none', () => {
  expect([sameHash(A, A.slice()), sameHash(CUT, A), sameHash(A, CUT), sameHash(new Uint8Array(), A)]).toEqual([
    true,
    false,
    false,
    false,
  ]);
});

describe('a signature', () => {
  const seeds = { log: new Uint8Array(32).fill(1), witness: new Uint8Array(32).fill(2) };
  const signerOf = async (kind: 'log' | 'witness', name: string): Promise<Signer> =>
    await createSigner({ kind, name, keyId: '', seed: seeds[kind] });

  it('counts beside others of its key that are none', async () => {
    const signer = await signerOf('log', 'log.example');
    const good = await signNote(BODY, signer);
    const bad = { ...good, payload: new Uint8Array(64) };
    expect(await isSignedBy({ body: BODY, signatures: [bad, good] }, signer.verifier)).toBe(true);
    expect(await isSignedBy({ body: BODY, signatures: [bad] }, signer.verifier)).toBe(false);
    expect(await isSignedBy({ body: BODY, signatures: [] }, signer.verifier)).toBe(false);
  });

  it('is that of the name and the key id on its line', async () => {
    const signer = await signerOf('log', 'log.example');
    const good = await signNote(BODY, signer);
    for (const line of [
      { ...good, name: 'other.example' },
      { ...good, keyId: '00000000' },
    ])
      expect(await isSignedBy({ body: BODY, signatures: [line] }, signer.verifier)).toBe(false);
  });

  it('of a log is no longer than a signature, and that of a witness no shorter than one with its time', async () => {
    const log = await signerOf('log', 'log.example');
    const own = await signNote(BODY, log);
    const longer = { ...own, payload: Uint8Array.of(...new Uint8Array(8), ...own.payload) };
    expect(await isSignature(BODY, longer, log.verifier)).toBe(false);
    const witness = await signerOf('witness', 'witness.example');
    const cosigned = await cosign(BODY, 1_796_000_000, witness);
    expect(cosignedAtSeconds(cosigned)).toBe(1_796_000_000);
    const untimed = { ...cosigned, payload: cosigned.payload.slice(8) };
    expect(cosignedAtSeconds(untimed)).toBeNull();
    expect(await isSignature(BODY, untimed, witness.verifier)).toBe(false);
  });

  it('of what is no key is none', async () => {
    const { verifier } = await signerOf('log', 'log.example');
    const line = await signNote(BODY, await signerOf('log', 'log.example'));
    expect(await isSignature(BODY, line, { ...verifier, publicKey: verifier.publicKey.slice(1) })).toBe(false);
  });

  it('of a log under the checkpoint of another log proves no receipt', async () => {
    const signer = await signerOf('log', 'log.example');
    const entry = new TextEncoder().encode('a');
    const receiptFor = async (origin: string) => {
      const body = checkpointBody({ origin, size: 1, root: leafHash(entry) });
      return { entry, index: 0, proof: [], checkpoint: noteText({ body, signatures: [await signNote(body, signer)] }) };
    };
    expect(await proveReceipt(await receiptFor('log.example'), signer.verifier)).not.toBeNull();
    expect(await proveReceipt(await receiptFor('other.example'), signer.verifier)).toBeNull();
    expect(
      await proveReceipt({ ...(await receiptFor('log.example')), checkpoint: 'none' }, signer.verifier),
    ).toBeNull();
  });
});

describe('a tile', () => {
  it('that a log does not reach has no width', () => {
    expect([tileWidth(0, 2, 300), tileWidth('entries', 2, 300), tileWidth(1, 1, 300)]).toEqual([0, 0, 0]);
  });

  it('has as many hashes as its width says, or is none', () => {
    expect(hashesOfTile(Uint8Array.of(...A, ...B), 2)).toEqual([A, B]);
    expect([hashesOfTile(A, 2), hashesOfTile(CUT, 1), hashesOfTile(Uint8Array.of(...A, 0), 1)]).toEqual([
      null,
      null,
      null,
    ]);
  });

  it('that lacks a hash has no root', () => {
    expect(() => tileRoot([])).toThrow(RangeError);
  });

  it('of entries may end with one that is empty', () => {
    expect(entriesOfBundle(Uint8Array.of(0, 1, 9, 0, 0), 2)).toEqual([Uint8Array.of(9), new Uint8Array()]);
    expect(entriesOfBundle(Uint8Array.of(0, 1, 9, 0), 2)).toBeNull();
  });
});
