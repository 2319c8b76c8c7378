import {
  isKeyName,
  isSignature,
  isSignedBy,
  type Note,
  parseSignatureLine,
  parseVerifier,
  type Verifier,
  verifierOf,
} from '../../../src/tlog/note.ts';

// Whose signature counts where. An auditor pins the verifier key of the first log. A log that follows signs with the same key under a name
// of its own, and a hand-over inside a log moves to another key.

/** The name of the n-th log of a trail. */
export const originOf = (name: string, number: number): string => (number === 1 ? name : `${name}/${number}`);

/** Which log of a trail has this name; null: it is one of another trail. */
export function numberOf(name: string, origin: string): number | null {
  const number = origin === name ? 1 : Number(origin.slice(name.length + 1));
  return Number.isSafeInteger(number) && number >= 1 && originOf(name, number) === origin ? number : null;
}

/** The keys of a log from an entry on. */
interface Reign {
  /** Checkpoints of more entries than this are signed by it. */
  readonly behindSize: number;
  readonly publicKeys: readonly Uint8Array[];
}

/** What checks the signatures of one log. */
export function createKeys(origin: string, trusted: readonly Uint8Array[]) {
  const reigns: Reign[] = [{ behindSize: -1, publicKeys: trusted }];

  const verifiersAt = (size: number): readonly Verifier[] =>
    (reigns.findLast(({ behindSize }) => size > behindSize)?.publicKeys ?? []).map((publicKey) =>
      verifierOf('log', origin, publicKey),
    );

  return {
    isSigned: async (note: Note, size: number): Promise<boolean> => {
      for (const verifier of verifiersAt(size)) {
        // There is hardly ever more than one.
        // oxlint-disable-next-line no-await-in-loop
        if (await isSignedBy(note, verifier)) return true;
      }
      return false;
    },
    /** The keys that have signed any of the log. */
    all: (): readonly Uint8Array[] => reigns.flatMap(({ publicKeys }) => publicKeys),
    /** The keys that sign at the end of the log. */
    last: (): readonly Uint8Array[] => reigns.at(-1)?.publicKeys ?? [],
    haveHandedOver: (): boolean => reigns.length > 1,
    /** Follows a hand-over. False: no key that signs there has signed it. */
    handOver: async (index: number, body: Readonly<Record<string, unknown>>): Promise<boolean> => {
      const { to, signature } = body;
      const next = typeof to === 'string' ? parseVerifier(to) : null;
      if (next?.kind !== 'log' || next.name !== origin) return false;
      const line = typeof signature === 'string' ? parseSignatureLine(signature.replace(/\n$/, '')) : null;
      const text = `countersign-handover/v1\n${origin}\n${String(to)}\n`;
      for (const verifier of verifiersAt(index)) {
        const isPinned = Buffer.compare(verifier.publicKey, next.publicKey) === 0;
        const isOurs = line?.name === verifier.name && line.keyId === verifier.keyId;
        // oxlint-disable-next-line no-await-in-loop -- there is hardly ever more than one
        if (isPinned || (line !== null && isOurs && (await isSignature(text, line, verifier)))) {
          reigns.push({ behindSize: index, publicKeys: [next.publicKey] });
          return true;
        }
      }
      return false;
    },
  };
}
export type Keys = ReturnType<typeof createKeys>;

/** Whether a text may be the name of a trail's first log. */
export const isLogName = (name: string): boolean => isKeyName(name) && !/\/\d+$/.test(name);
