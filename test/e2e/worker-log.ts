import { createReadStream } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import * as z from 'zod';

const Line = z.looseObject({ level: z.string(), event: z.string().optional(), message: z.string().optional() });

/** What the service says of itself when it did not know what to do. */
const BUGS = new Set([
  'unexpected_error',
  'cron_job_failed',
  'attempt_not_judged',
  'order_not_driven',
  'configuration_invalid',
]);

/** How often the service said what at level `error`; requests, which have answers to show for themselves, aside. */
export async function errorsIn(stateDir: string): Promise<ReadonlyMap<string, number>> {
  const errors = new Map<string, number>();
  for await (const text of createInterface({ input: createReadStream(path.join(stateDir, 'worker.log')) })) {
    // Most lines are about requests that went well, and there are a hundred thousand of them.
    if (!text.includes('"error"')) continue;
    const { level, event, message = '' } = Line.parse(JSON.parse(text));
    if (level !== 'error' || event === 'request') continue;
    const name = event ?? `workerd: ${message.split('\n', 1)[0]?.slice(0, 200) ?? ''}`;
    errors.set(name, (errors.get(name) ?? 0) + 1);
  }
  return errors;
}

/** Those that are bugs: of the service, or of what workerd has to say about it. */
export const bugsAmong = (errors: ReadonlyMap<string, number>): readonly string[] =>
  [...errors]
    .filter(([name]) => BUGS.has(name) || name.startsWith('workerd: '))
    .map(([name, count]) => `${count} times in the log: ${name}`);
