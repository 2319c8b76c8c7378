/**
 * A place in the trail, for the next page. It is a position and nothing else: it carries no authority and no filter, so
 * holding one grants nothing.
 */
export const encodeCursor = (seq: number): string => btoa(`seq:${seq}`).replace(/=+$/, '');

/** The `seq` that a cursor stands for; null for anything that `encodeCursor` did not make. */
export function decodeCursor(cursor: string): number | null {
  if (!/^[A-Za-z0-9]{6,32}$/.test(cursor)) return null;
  try {
    const seq = Number(/^seq:(\d{1,15})$/.exec(atob(cursor))?.[1] ?? NaN);
    return encodeCursor(seq) === cursor ? seq : null;
  } catch {
    return null;
  }
}
