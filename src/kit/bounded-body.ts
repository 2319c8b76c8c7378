/** All bytes of a body, or null where there are more than `maxBytes`. Counted as they come: Content-Length may lie. */
export async function collect(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  maxBytes: number,
): Promise<readonly Uint8Array[] | null> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return chunks;
    sizeBytes += value.byteLength;
    if (sizeBytes > maxBytes) return null;
    chunks.push(value);
  }
}

/** Throws on bytes that are not UTF-8: replacing them would make up what nobody sent. */
export function decodeUtf8(chunks: readonly Uint8Array[]): string {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false });
  return chunks.map((chunk) => decoder.decode(chunk, { stream: true })).join('') + decoder.decode();
}
