import { parseArgs } from 'node:util';
import { UserError } from '../local/errors.ts';
import { openIssuer, signJwt } from '../local/issuer.ts';
import { LOCAL_ROLES } from '../local/policy.ts';
import { stateDirOf } from '../local/settings.ts';
import { print, watchOutput } from './output.ts';

const USAGE = `usage: npm run -s token -- --sub NAME --role ROLE [--ttl 1h] [--email ADDRESS]   (roles: ${LOCAL_ROLES.join(', ')})`;

const UNIT_SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 60 * 60, d: 24 * 60 * 60 };

/** The local policy's `maxAge` refuses older JWTs, so a longer lifetime would promise too much. */
const TTL_MAX_SECONDS = 24 * 60 * 60;

/** Prints a JWT of the local issuer on standard output, and nothing else there. */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      sub: { type: 'string' },
      role: { type: 'string' },
      ttl: { type: 'string', default: '1h' },
      email: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    print(USAGE);
    return;
  }
  if (!values.sub) throw new UserError('--sub is missing: it names the caller.');
  if (!values.role) throw new UserError('--role is missing.');
  if (!LOCAL_ROLES.some((role) => role === values.role)) {
    // This is no error: it shows what the service answers to a stranger.
    console.error(
      `note: the local policy has no role ${JSON.stringify(values.role)}; the service will answer no_role.`,
    );
  }
  const caller = {
    subject: values.sub,
    role: values.role,
    ttlSeconds: parseTtlSeconds(values.ttl),
    ...(values.email !== undefined && { email: values.email }),
  };
  print(await signJwt(await openIssuer(stateDirOf(process.env)), caller, Math.floor(Date.now() / 1_000)));
}

/**
 * Reads a lifetime such as `90s`, `15m`, `1h` or `1d`.
 *
 * @returns seconds.
 * @throws UserError unless it is a whole number of one unit, between one second and a day.
 */
export function parseTtlSeconds(text: string): number {
  const match = /^(\d{1,6})([smhd])$/.exec(text);
  const unitSeconds = UNIT_SECONDS[match?.[2] ?? ''];
  const seconds = unitSeconds === undefined ? 0 : Number(match?.[1]) * unitSeconds;
  if (seconds < 1 || seconds > TTL_MAX_SECONDS) {
    throw new UserError(
      `--ttl ${JSON.stringify(text)} is not a lifetime of at most a day, such as 90s, 15m, 1h or 1d.`,
    );
  }
  return seconds;
}

// A test imports this file for its parts; only `npm run token` runs it.
if (import.meta.main) {
  watchOutput();
  try {
    await main();
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`);
    process.exitCode = 1;
  }
}
