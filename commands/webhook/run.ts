import { readFileSync } from 'node:fs';
import { STATUS_CODES } from 'node:http';
import { text } from 'node:stream/consumers';
import * as z from 'zod';
import { reasonOf, UserError } from '../../local/errors.ts';
import { serviceOf } from '../countersign/connection.ts';
import type { Host } from '../countersign/host.ts';
import { print, watchOutput } from '../output.ts';
import { exchange, helpOf } from '../service.ts';
import { printable, printableJson, printableLines } from '../terminal-text.ts';
import { UsageError } from '../usage.ts';
import { deliveryOf, deliveryWithSecret, type Delivery } from './delivery.ts';
import { readOptions, type Sending, usageOf } from './options.ts';

/**
 * Plays a leak scanner, an HR system or GitHub: signs a webhook and sends it. It signs with the secret that is named, or in a checkout
 * with the keys of its own service.
 */
export async function runWebhook(args: readonly string[], host: Host): Promise<void> {
  watchOutput();
  const call = host.call('webhook');
  const options = await readOptions(args, async () => await text(process.stdin), {
    call,
    defaultIssuer: host.defaultIssuer,
  });
  if (options.mode === 'help') {
    print(usageOf(call));
    return;
  }
  const named = options.url ?? (process.env['COUNTERSIGN_URL'] || host.defaultUrl());
  if (named === null) {
    throw new UsageError(
      'Which service? Name it with --url or COUNTERSIGN_URL, such as https://countersign.example.com.',
    );
  }
  const service = serviceOf(named);
  const id = options.id ?? `msg_${crypto.randomUUID()}`;
  const delivery = signed(options, service, host, id);
  const { statusLine, body, problem } = await send(service.origin, delivery);
  // A second delivery of the same message needs this id.
  console.error('webhook-id' in delivery.headers ? `${statusLine}, webhook-id ${id}` : statusLine);
  if (body !== '') print(body);
  if (problem === null) return;
  console.error(problem);
  process.exitCode = 1;
}

/** @throws UsageError if nothing is there to sign with. */
function signed(options: Sending, service: ReturnType<typeof serviceOf>, host: Host, id: string): Delivery {
  const { message, secretFile } = options;
  const secret =
    secretFile === null ? process.env['COUNTERSIGN_WEBHOOK_SECRET']?.trim() : readSecret(host.pathOf(secretFile));
  if (secret) {
    if (message.source === 'github') {
      throw new UsageError(
        '--kind github is signed with a private key, which GitHub alone has: a local service has one of its own.',
      );
    }
    return deliveryWithSecret(message, { source: options.source ?? message.source, secret }, id, new Date());
  }
  const keys = service.isLoopback ? host.webhookKeys() : null;
  if (keys !== null) return deliveryOf(message, keys, id, new Date());
  throw new UsageError(
    `${service.origin} takes what its own senders sign: name the secret of one with --secret-file FILE or COUNTERSIGN_WEBHOOK_SECRET, and the sender with --source NAME.`,
  );
}

function readSecret(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new UsageError(`${printable(file)} cannot be read: ${reasonOf(error)}. Name another with --secret-file.`, {
      cause: error,
    });
  }
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
      `Nothing answers at ${origin}. Is it running? Another one is named by --url or COUNTERSIGN_URL.`,
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
  const advice =
    status === 401
      ? ' The sender signs with another secret. If the service is a local one on another STATE_DIR, name that: its keys are others.'
      : '';
  return `${said}${advice}${helpOf(origin, json)}`;
}
