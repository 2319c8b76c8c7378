import type { ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { Fault } from './faults-wire.ts';
import { failure, type Answer } from './wire.ts';

/** A `delay_ms` for which no answer ever comes. */
const NEVER = -1;

const PAGE =
  '<!doctype html>\n<html><head><title>PipeOps</title></head><body><h1>We will be right back</h1></body></html>\n';

/** What a fault answers in PipeOps' place; null: the true answer stands. */
function replacementOf({ status, body, html, redirect }: Fault): Answer | null {
  if (redirect !== undefined) return { status: status ?? 302, headers: { Location: redirect }, body: null };
  if (html === true) {
    return { status: status ?? 200, headers: { 'Content-Type': 'text/html; charset=utf-8' }, body: PAGE };
  }
  if (body !== undefined) return { status: status ?? 200, body };
  return status === undefined ? null : failure(status, `Injected: ${status}`);
}

/**
 * Answers a request, as its fault says. `serve` does what PipeOps would do; it is called once at the most.
 *
 * Gives the status that was sent; null: none. Rejects with an AbortError if `closing` aborts a delay.
 */
export async function deliver(
  response: ServerResponse,
  fault: Fault | null,
  serve: () => Answer,
  closing: AbortSignal,
): Promise<number | null> {
  if (fault === null) return send(response, serve());
  const { delay_ms: delayMs = 0, drop, headers = {} } = fault;
  const served = fault.commit === true || drop === 'after_commit' ? serve() : null;
  if (delayMs > 0) await delay(delayMs, undefined, { signal: closing });

  const isCutOff = drop !== undefined || delayMs === NEVER;
  if (isCutOff && fault.truncate_body !== true) {
    if (drop !== undefined) reset(response);
    return null;
  }
  const whole = replacementOf(fault) ?? served ?? serve();
  const answer = { ...whole, headers: { ...whole.headers, ...headers } };
  if (isCutOff) return sendHalf(response, answer, () => drop !== undefined && reset(response));
  return fault.truncate_body === true ? sendHalfAsWhole(response, answer) : send(response, answer);
}

/** Sends an answer; gives its status. */
export function send(response: ServerResponse, answer: Answer): number {
  const bytes = encode(answer);
  writeHead(response, answer, bytes.length);
  response.end(bytes);
  return answer.status;
}

/** Announces half of the answer as if it were all. */
function sendHalfAsWhole(response: ServerResponse, answer: Answer): number {
  const bytes = encode(answer);
  writeHead(response, answer, bytes.length >> 1);
  response.end(bytes.subarray(0, bytes.length >> 1));
  return answer.status;
}

/** Announces the whole answer and sends half of it. */
function sendHalf(response: ServerResponse, answer: Answer, sent: () => void): number {
  const bytes = encode(answer);
  writeHead(response, answer, bytes.length);
  response.write(bytes.subarray(0, bytes.length >> 1), sent);
  return answer.status;
}

const encode = ({ body }: Answer): Buffer =>
  Buffer.from(body === null ? '' : typeof body === 'string' ? body : JSON.stringify(body));

function writeHead(response: ServerResponse, { status, headers = {}, body }: Answer, bytes: number): void {
  if (body !== null) {
    const isText = typeof body === 'string';
    response.setHeader('Content-Type', `${isText ? 'text/plain' : 'application/json'}; charset=utf-8`);
  }
  if (status !== 204 && status !== 304) response.setHeader('Content-Length', bytes);
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  response.writeHead(status);
}

/** An RST, as from a proxy that dies. */
function reset({ socket }: ServerResponse): void {
  if (socket !== null && !socket.destroyed) socket.resetAndDestroy();
}
