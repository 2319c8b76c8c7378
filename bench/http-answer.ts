const HEAD_END = Buffer.from('\r\n\r\n');
const LINE_END = Buffer.from('\r\n');

/** A whole HTTP/1.1 answer. */
export interface Answer {
  readonly status: number;
  /** Where it ends in what was received. */
  readonly end: number;
}

/**
 * Reads the answer that `received` begins with; null: it is not all there yet. Of HTTP it knows what servers here send:
 * `Content-Length` and chunks, no trailers and no interim answers.
 *
 * @throws on anything else.
 */
export function readAnswer(received: Buffer): Answer | null {
  const headEnd = received.indexOf(HEAD_END);
  if (headEnd === -1) return null;
  const head = received.toString('latin1', 0, headEnd);
  const status = Number(head.slice('HTTP/1.1 '.length, 'HTTP/1.1 200'.length));
  const bodyStart = headEnd + HEAD_END.length;
  const end = endOfBody(received, bodyStart, head, status);
  return end === null || end > received.length ? null : { status, end };
}

function endOfBody(received: Buffer, bodyStart: number, head: string, status: number): number | null {
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
  if (length !== undefined) return bodyStart + Number(length);
  if (status === 204) return bodyStart;
  if (!/\r\ntransfer-encoding: *chunked/i.test(head)) throw new Error(`an answer of no known length:\n${head}`);
  let at = bodyStart;
  for (;;) {
    const lineEnd = received.indexOf(LINE_END, at);
    if (lineEnd === -1) return null;
    const bytes = Number.parseInt(received.toString('latin1', at, lineEnd), 16);
    at = lineEnd + LINE_END.length + bytes + LINE_END.length;
    if (bytes === 0) return at;
    if (at > received.length) return null;
  }
}
