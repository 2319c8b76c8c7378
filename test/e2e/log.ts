import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import * as z from 'zod';
import { CHECKOUT } from '../../local/settings.ts';
import type { Service } from './service.ts';
import type { Trail } from './trail.ts';
import { until } from './until.ts';

// The transparency log of a running service, as an auditor beside it judges it.

/** What `--json` says. */
const Verified = z.object({
  exit_code: z.int(),
  verdicts: z.record(z.string(), z.object({ judgement: z.string(), because: z.string() })),
});
export type Verified = Readonly<z.infer<typeof Verified>>;

/** Runs `npm run -s verify` as a person runs it beside a local service: it takes the URL, a JWT and the key by itself. */
export async function verifyLog(stateDir: string): Promise<Verified> {
  const environment = { ...process.env, STATE_DIR: stateDir };
  const command = promisify(execFile)('npm', ['run', '-s', 'verify', '--', '--json'], {
    cwd: CHECKOUT,
    env: environment,
  });
  const { stdout } = await command.catch((error: unknown) => {
    // Anything but good is another exit code, with the verdicts all the same.
    const { stdout: said } = z.object({ stdout: z.string().min(1) }).parse(error);
    return { stdout: said };
  });
  return Verified.parse(JSON.parse(stdout));
}

/**
 * Runs the cron until all of the trail is sealed but, unless they are waited for, rows that count reads: these are closed and sealed
 * minutes after the last read.
 */
export async function untilSealed(
  service: Service,
  trail: Trail,
  { timeoutMs, withCounts }: { readonly timeoutMs: number; readonly withCounts: boolean },
): Promise<void> {
  await until(
    'everything to be sealed',
    () => {
      service.triggerCron();
      const { events, counts } = trail.unsealed();
      return events === 0 && (counts === 0 || !withCounts);
    },
    { timeoutMs, intervalMs: 1_000 },
  );
}
