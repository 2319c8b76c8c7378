import { STATUS_CODES } from 'node:http';
import * as z from 'zod';
import { UserError } from '../../local/errors.ts';
import { exchange } from '../exchange.ts';
import { printable, printableJson, printableLines } from '../terminal-text.ts';
import type { Delivery } from './delivery.ts';

/** What the service answered, fit for a terminal. */
export interface Answer {
  /** `HTTP 202 Accepted`. */
  readonly statusLine: string;
  readonly body: string;
  /** Null: it took the delivery. Else one line. */
  readonly problem: string | null;
}

const Failure = z.object({
  message: z.string(),
  errors: z.record(z.string(), z.array(z.string())).optional(),
});

/**
 * Sends a delivery, once.
 *
 * @param origin of the service.
 * @throws UserError if nobody answers.
 */
export async function send(origin: string, delivery: Delivery): Promise<Answer> {
  const response = await exchange(origin, { method: 'POST', ...delivery });
  if (response === null) {
    throw new UserError(
      `Nothing answers at ${origin}. Is it running (npm start)? Another one is named by --url or STATE_DIR.`,
    );
  }
  const { status, text, json } = response;
  return {
    statusLine: `HTTP ${status} ${STATUS_CODES[status] ?? ''}`.trimEnd(),
    body: json === undefined ? printableLines(text) : printableJson(json),
    problem: status >= 200 && status < 300 ? null : problemOf(origin, status, json),
  };
}

function problemOf(origin: string, status: number, json: unknown): string {
  const failure = Failure.safeParse(json);
  if (!failure.success) return `${origin} does not answer as Countersign does (${status}): check --url.`;
  const { message, errors = {} } = failure.data;
  const fields = Object.entries(errors).map(([name, problems]) => `${name}: ${problems.join(' ')}`);
  const said = `${status}: ${printable([message, ...fields].join(' '))}`;
  return status === 401 ? `${said} If it runs on another STATE_DIR, name that: its keys are others.` : said;
}
