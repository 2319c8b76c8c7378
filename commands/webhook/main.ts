import { text } from 'node:stream/consumers';
import { UserError } from '../../local/errors.ts';
import { stateDirOf } from '../../local/settings.ts';
import { readRunFile } from '../../local/state-dir.ts';
import { readWebhooks } from '../../local/webhook-keys.ts';
import { readServiceUrl } from '../service-url.ts';
import { deliveryOf } from './delivery.ts';
import { readOptions, USAGE } from './options.ts';
import { send } from './send.ts';

const DEFAULT_URL = 'http://127.0.0.1:8787';

/** Plays a leak scanner, an HR system or GitHub: signs a webhook with the keys of a local run, and sends it there. */
async function main(): Promise<void> {
  const options = await readOptions(process.argv.slice(2), async () => await text(process.stdin));
  if (options.mode === 'help') {
    console.log(USAGE);
    return;
  }
  const stateDir = stateDirOf(process.env);
  const { origin, isLoopback } = readServiceUrl(options.url ?? readRunFile(stateDir)?.url ?? DEFAULT_URL);
  if (!isLoopback) {
    throw new UserError(
      `${origin} is not on this machine, and knows none of the keys that npm start made: a deployment hears from its own senders.`,
    );
  }
  const id = options.id ?? `msg_${crypto.randomUUID()}`;
  const delivery = deliveryOf(options.message, readWebhooks(stateDir), id, new Date());
  const { statusLine, body, problem } = await send(origin, delivery);
  // The id is what a second delivery of the same needs.
  console.error('webhook-id' in delivery.headers ? `${statusLine}, webhook-id ${id}` : statusLine);
  if (body !== '') console.log(body);
  if (problem === null) return;
  console.error(problem);
  process.exitCode = 1;
}

try {
  await main();
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
