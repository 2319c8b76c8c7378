import { parseArgs } from 'node:util';
import { UserError } from '../local/errors.ts';
import { openIssuer, signJwt } from '../local/issuer.ts';
import { LOCAL_ROLES } from '../local/policy.ts';
import { stateDirOf } from '../local/settings.ts';
import { parseTtlSeconds } from './duration.ts';

const USAGE = `usage: npm run -s token -- --sub NAME --role ROLE [--ttl 1h] [--email ADDRESS]   (roles: ${LOCAL_ROLES.join(', ')})`;

/** Prints a JWT of the local issuer on standard output, and nothing else there. */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      sub: { type: 'string' },
      role: { type: 'string' },
      ttl: { type: 'string', default: '1h' },
      email: { type: 'string' },
    },
  });
  if (!values.sub) throw new UserError('--sub is missing: it names the caller.');
  if (!values.role) throw new UserError('--role is missing.');
  if (!LOCAL_ROLES.some((role) => role === values.role)) {
    // Not an error: it is how to see what the service answers to a stranger.
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
  console.log(await signJwt(await openIssuer(stateDirOf(process.env)), caller, Math.floor(Date.now() / 1_000)));
}

try {
  await main();
} catch (error) {
  console.error(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`);
  process.exitCode = 1;
}
