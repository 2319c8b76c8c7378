import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import type { TokenState } from '../pipeops-simulator/faults-wire.ts';
import { webhooksOf } from './service.ts';

/** Something that no secret may be in. */
export interface Haystack {
  readonly name: string;
  readonly bytes: Buffer;
}

/** The files of the embedded database as they lie on disk: pages, free pages and write-ahead logs. */
export function databaseFiles(stateDir: string): Haystack[] {
  const folder = path.join(stateDir, 'v3');
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .map((file) => ({ name: path.relative(stateDir, file), bytes: readFileSync(file) }));
}

/** The Worker's log. */
export function logFile(stateDir: string): Haystack {
  return { name: 'worker.log', bytes: readFileSync(path.join(stateDir, 'worker.log')) };
}

/** What `npm start` printed, but for the two lines whose purpose is to hand out a JWT. */
export function printed(output: string): Haystack {
  const lines = output.split('\n').filter((line) => !/^(ADMIN|CI)=/.test(line));
  return { name: 'output', bytes: Buffer.from(lines.join('\n')) };
}

/** The keys of webhooks and of fingerprints, without the words before them: they are found with those as well. */
export function webhookSecretsOf(stateDir: string): string[] {
  const { fingerprintKeys, secrets, github } = webhooksOf(stateDir);
  const fingerprints = fingerprintKeys.split(',').map((key) => key.slice(key.indexOf(':') + 1));
  const signing = Object.values(secrets).map((secret) => secret.replace('whsec_', ''));
  const { d } = z.object({ d: z.string() }).parse(github.privateKey.export({ format: 'jwk' }));
  return [...fingerprints, ...signing, d];
}

/** What sessions are sealed with, and what the OpenID provider signs with. */
export function peopleSecretsOf(stateDir: string): string[] {
  const read = (name: string): string => readFileSync(path.join(stateDir, name), 'utf8').trim();
  const { d } = z.object({ d: z.string() }).parse(JSON.parse(read('people.jwk.json')));
  return [d, read('session-secret'), read('people-cookie-key')];
}

/**
 * Looks for secrets. Of a JWT the signature alone counts as a find: it is what makes one, and no other part is random.
 *
 * @returns the names of the haystacks that hold one, with the place; never the secret itself.
 */
export function findSecrets(haystacks: readonly Haystack[], secrets: readonly string[]): string[] {
  if (secrets.some((secret) => secret.length < 8)) throw new Error('a secret is too short to be told from other text');
  const needles = secrets.flatMap((secret) => [secret, signatureOf(secret)]).filter((needle) => needle !== null);
  return haystacks.flatMap(({ name, bytes }) =>
    needles
      .map((needle) => bytes.indexOf(needle))
      .filter((offset) => offset !== -1)
      .map((offset) => `${name} at byte ${offset}`),
  );
}

/** Null for what is not a signed JWT. */
const signatureOf = (secret: string): string | null => /^eyJ[^.]+\.[^.]+\.([^.]{8,})$/.exec(secret)?.[1] ?? null;

const SECRET_PREFIX = 'sat_';

/**
 * Looks for the secrets of tokens. It looks up every text that begins as a secret does, so it stays fast with thousands of
 * them; `findSecrets` searches for each one.
 *
 * @returns the names of the haystacks that hold one, with the place; never the secret itself.
 */
export function findMinted(haystacks: readonly Haystack[], tokens: readonly TokenState[]): string[] {
  const secrets = new Set(tokens.map(({ secret }) => secret));
  const lengths = [...new Set([...secrets].map(({ length }) => length))];
  if ([...secrets].some((secret) => !secret.startsWith(SECRET_PREFIX))) throw new Error('a secret begins otherwise');
  const found: string[] = [];
  for (const { name, bytes } of haystacks) {
    for (let at = bytes.indexOf(SECRET_PREFIX); at !== -1; at = bytes.indexOf(SECRET_PREFIX, at + 1)) {
      const isSecret = lengths.some((length) => secrets.has(bytes.toString('latin1', at, at + length)));
      if (isSecret) found.push(`${name} at byte ${at}`);
    }
  }
  return found;
}
