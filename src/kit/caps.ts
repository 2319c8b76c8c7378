const encoder = new TextEncoder();

/** Length in bytes of UTF-8: what a column costs. */
export const byteLength = (text: string): number => encoder.encode(text).byteLength;

/** The longest prefix of whole code points that fits into `maxBytes` bytes of UTF-8. */
export function cutToBytes(text: string, maxBytes: number): string {
  if (text.length * 3 <= maxBytes || byteLength(text) <= maxBytes) return text;
  const buffer = new Uint8Array(maxBytes);
  const { read } = encoder.encodeInto(text, buffer);
  return text.slice(0, read);
}
