import { STATUS_CODES } from 'node:http';
import { text } from 'node:stream/consumers';
import * as z from 'zod';
import { UserError } from '../../local/errors.ts';
import { stateDirOf } from '../../local/settings.ts';
import { readWebhooks } from '../../local/webhook-keys.ts';
import { print, watchOutput } from '../output.ts';
import { exchange, findService, helpOf } from '../service.ts';
import { printable, printableJson, printableLines } from '../terminal-text.ts';
import { deliveryOf, type Delivery } from './delivery.ts';
import { readOptions, USAGE } from './options.ts';

/** Plays a leak scanner, an HR system or GitHub: signs a webhook with the keys of a local run, and sends it there. */
async function main(): Promise<void> {
  const options = await readOptions(process.argv.slice(2), async () => await text(process.stdin));
  if (options.mode === 'help') {
    print(USAGE);
    return;
  }
  const stateDir = stateDirOf(process.env);
  const { origin, isLoopback } = findService(options.url, stateDir);
  if (!isLoopback) {
    throw new UserError(
      `${origin} is not on this machine, and knows none of the keys that npm start made: a deployment hears from its own senders.`,
    );
  }
  const id = options.id ?? `msg_${crypto.randomUUID()}`;
  const delivery = deliveryOf(options.message, readWebhooks(stateDir), id, new Date());
  const { statusLine, body, problem } = await send(origin, delivery);
  // A second delivery of the same message needs this id.
  console.error('webhook-id' in delivery.headers ? `${statusLine}, webhook-id ${id}` : statusLine);
  if (body !== '') print(body);
  if (problem === null) return;
  console.error(problem);
  process.exitCode = 1;
}

/** What the service answered, safe to print. */
interface Answer {
  /** `HTTP 202 Accepted`. */
  readonly statusLine: string;
  readonly body: string;
  /** One line that says why the service did not take the delivery, or null if it did. */
  readonly problem: string | null;
}

const Failure = z.object({
  message: z.string(),
  errors: z.record(z.string(), z.array(z.string())).optional(),
});

/**
 * Sends a delivery once.
 *
 * @throws UserError if nobody answers.
 */
async function send(origin: string, delivery: Delivery): Promise<Answer> {
  const response = await exchange(origin, { method: 'POST', ...delivery });
  if (response === null) {
    throw new UserError(
      `Nothing answers at ${origin}. Is it running (npm start)? Another one is named by --url or STATE_DIR.`,
    );
  }
  const { status, json } = response;
  return {
    statusLine: `HTTP ${status} ${STATUS_CODES[status] ?? ''}`.trimEnd(),
    body: json === undefined ? printableLines(response.text) : printableJson(json),
    problem: status >= 200 && status < 300 ? null : problemOf(origin, status, json),
  };
}

function problemOf(origin: string, status: number, json: unknown): string {
  const failure = Failure.safeParse(json);
  if (!failure.success) return `${origin} does not answer as Countersign does (${status}): check --url.`;
  const { message, errors = {} } = failure.data;
  const fields = Object.entries(errors).map(([name, problems]) => `${name}: ${problems.join(' ')}`);
  const said = `${status}: ${printable([message, ...fields].join(' '))}`;
  const advice = status === 401 ? ' If it runs on another STATE_DIR, name that: its keys are others.' : '';
  return `${said}${advice}${helpOf(origin, json)}`;
}

watchOutput();
try {
  await main();
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
