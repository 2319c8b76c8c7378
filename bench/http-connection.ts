import { once } from 'node:events';
import { connect } from 'node:net';

/** A request as it goes over the wire, made once and sent often. */
export function requestBytes(
  method: string,
  pathAndQuery: string,
  headers: Readonly<Record<string, string>>,
  body?: object,
): Buffer {
  const json = body === undefined ? '' : JSON.stringify(body);
  const lines = [
    `${method} ${pathAndQuery} HTTP/1.1`,
    'Host: 127.0.0.1',
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    ...(body === undefined ? [] : ['Content-Type: application/json', `Content-Length: ${Buffer.byteLength(json)}`]),
  ];
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n${json}`);
}

/** Nobody waits for longer. */
const ANSWER_MAX_MS = 10_000;

/** A whole HTTP/1.1 answer, as it was received. */
export interface Answer {
  readonly status: number;
  readonly bytes: Buffer;
}

/** A kept connection that carries one request at a time. */
export interface Connection {
  /** @throws if the connection breaks, the server sends anything but one answer, or none within ANSWER_MAX_MS. */
  exchange(request: Buffer): Promise<Answer>;
  close(): void;
}

/** Made of a socket and nothing else, since the generator of a load shares the machine with what it measures. */
export async function openConnection(origin: string): Promise<Connection> {
  const { hostname, port } = new URL(origin);
  const socket = connect({ host: hostname, port: Number(port), noDelay: true });
  await once(socket, 'connect');
  let waiting: { readonly resolve: (answer: Answer) => void; readonly reject: (error: Error) => void } | null = null;
  const received: Buffer[] = [];
  const fail = (error: Error): void => {
    waiting?.reject(error);
    socket.destroy();
  };
  socket.on('data', (chunk: Buffer) => {
    received.push(chunk);
    try {
      const answer = readAnswer(received);
      if (answer === null) return;
      received.length = 0;
      waiting?.resolve(answer);
    } catch (error) {
      fail(error instanceof Error ? error : new Error(String(error)));
    }
  });
  socket.on('error', fail);
  socket.on('close', () => fail(new Error('the connection was closed')));
  socket.setTimeout(ANSWER_MAX_MS, () => fail(new Error(`no answer in ${ANSWER_MAX_MS} ms`)));
  return {
    exchange: async (request) => {
      if (socket.destroyed) throw new Error('the connection was closed');
      const { promise, resolve, reject } = Promise.withResolvers<Answer>();
      waiting = { resolve, reject };
      socket.write(request);
      return await promise;
    },
    close: () => {
      waiting = null;
      socket.destroy();
    },
  };
}

const HEAD_END = Buffer.from('\r\n\r\n');
const LINE_END = Buffer.from('\r\n');

/**
 * Reads the answer that the chunks hold, and joins them; null: it is not all there yet. Of HTTP it knows what servers here
 * send: `Content-Length` and chunks, no trailers and no interim answers.
 *
 * @throws on anything else.
 */
function readAnswer(chunks: Buffer[]): Answer | null {
  const [first = Buffer.alloc(0)] = chunks;
  const bytes = chunks.length === 1 ? first : Buffer.concat(chunks);
  chunks.splice(0, chunks.length, bytes);
  const headEnd = bytes.indexOf(HEAD_END);
  if (headEnd === -1) return null;
  const head = bytes.toString('latin1', 0, headEnd);
  const status = Number(head.slice('HTTP/1.1 '.length, 'HTTP/1.1 200'.length));
  const end = endOfBody(bytes, headEnd + HEAD_END.length, head, status);
  if (end === null || end > bytes.length) return null;
  if (end < bytes.length) throw new Error('more than an answer');
  return { status, bytes };
}

function endOfBody(bytes: Buffer, bodyStart: number, head: string, status: number): number | null {
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
  if (length !== undefined) return bodyStart + Number(length);
  if (status === 204) return bodyStart;
  if (!/\r\ntransfer-encoding: *chunked/i.test(head)) throw new Error(`an answer of no known length:\n${head}`);
  let at = bodyStart;
  for (;;) {
    const lineEnd = bytes.indexOf(LINE_END, at);
    if (lineEnd === -1) return null;
    const count = Number.parseInt(bytes.toString('latin1', at, lineEnd), 16);
    at = lineEnd + LINE_END.length + count + LINE_END.length;
    if (count === 0) return at;
    if (at > bytes.length) return null;
  }
}
