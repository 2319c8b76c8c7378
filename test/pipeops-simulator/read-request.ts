import type { IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';

export interface ReadRequest {
  readonly method: string;
  /** As it was sent, without the query: `..` and percent-encoding are not resolved. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Names in lower case; values of a repeated header joined. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Reads a request to its end. Rejects if the client goes away before. */
export async function readRequest(incoming: IncomingMessage): Promise<ReadRequest> {
  const target = incoming.url ?? '/';
  const mark = target.indexOf('?');
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(incoming.headers)) headers[name] = [value].flat().join(', ');
  return {
    method: incoming.method ?? 'GET',
    path: mark < 0 ? target : target.slice(0, mark),
    query: new URLSearchParams(mark < 0 ? '' : target.slice(mark + 1)),
    headers,
    body: await text(incoming),
  };
}
