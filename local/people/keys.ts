import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { openIssuer, type LocalIssuer } from '../issuer.ts';
import { openSecretFile } from '../secrets.ts';

/** The URL of the provider that listens on a port. Its name differs from the service's, so that the two share no cookies. */
export const peopleIssuer = (port: number): string => `http://localhost:${port}`;

/** The keys of the OpenID provider of a state directory. */
export interface PeopleKeys extends LocalIssuer {
  /** Signs the provider's cookies. */
  readonly cookieKey: string;
}

/**
 * Opens the keys of a state directory's OpenID provider. The first call creates them, readable by their owner only.
 *
 * @param issuer the provider's URL.
 * @throws UserError if a file does not hold its key.
 */
export async function openPeople(stateDir: string, issuer: string): Promise<PeopleKeys> {
  const make = (): string => `${randomBytes(32).toString('base64url')}\n`;
  return {
    ...(await openIssuer(stateDir, { issuer, file: 'people.jwk.json' })),
    cookieKey: (await openSecretFile(path.join(stateDir, 'people-cookie-key'), make)).trim(),
  };
}
