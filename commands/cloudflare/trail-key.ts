import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { errorCode, UserError } from '../../local/errors.ts';
import { createSigner, parsePrivateKey, privateKeyText, verifierText } from '../../src/tlog/note.ts';
import { isLogName } from '../verify/judge/keys.ts';
import type { Cloudflare } from './account.ts';
import { keptSecretsFile } from './kept-secrets.ts';
import type { Section } from './section.ts';
import { openApi, readWorkersDevUrl } from './triggers.ts';

// The key of the transparency log. Its private half goes to Cloudflare alone: a copy of it would be somebody who can write another
// history. Its public half, the verifier key, is for auditors.

const SEED_BYTES = 32;

/** Makes the private key of a log of this name. */
export const newTrailKey = async (name: string): Promise<string> =>
  await privateKeyText('log', name, new Uint8Array(randomBytes(SEED_BYTES)));

/** The verifier key of a private key; null where the text is none, or its id is not that of its name and seed. */
export async function verifierOfTrailKey(text: string): Promise<string | null> {
  const key = parsePrivateKey(text.trim());
  if (key?.kind !== 'log') return null;
  const { verifier } = await createSigner(key);
  return verifier.keyId === key.keyId ? verifierText(verifier) : null;
}

/** What is wrong with the key of a log, without quoting it; null if nothing is. */
export async function trailKeyProblem(text: string): Promise<string | null> {
  const key = parsePrivateKey(text.trim());
  if (key?.kind !== 'log') return 'is no signing key: PRIVATE+KEY+ and a name, an id and base64';
  if (!isLogName(key.name)) return 'has a name with a number behind the last slash, which only logs that follow have';
  return (await verifierOfTrailKey(text)) === null ? 'has an id that is not that of its name and its key' : null;
}

/**
 * The name of the log of a deployment: the host that it is reached at, and a path. It names the log for good, also where the host changes.
 *
 * @param named what the operator calls it.
 * @param url where the operator says that the service answers.
 * @returns null where no host is known yet: an account has no subdomain of workers.dev before somebody chooses one.
 * @throws UserError if the operator's name is none.
 */
export async function trailName(
  cloudflare: Cloudflare,
  { named, url }: { readonly named: string | undefined; readonly url: string | null },
): Promise<string | null> {
  if (named !== undefined) {
    if (isLogName(named) && !named.includes('://')) return named;
    throw new UserError(
      '--trail-name is a URL without https://, white space and plus, and with no number behind the last slash, such as countersign.example.com/trail.',
    );
  }
  const { section } = cloudflare;
  const address = [section.customDomain === null ? null : `https://${section.customDomain}`, url].find(
    (one) => one?.startsWith('https://') === true,
  );
  const found = address ?? (await readWorkersDevUrl(await openApi(cloudflare, process.env), section.workerName));
  return found === null ? null : `${new URL(found).host}/trail`;
}

/** Where the verifier key of a section is kept: no secret, beside the secrets. */
const verifierFile = (section: Section): string =>
  path.join(path.dirname(keptSecretsFile(section)), `${section.name}.trail.verifier`);

/**
 * Keeps the verifier key before its private key is set, so that a run that is killed in between loses none.
 *
 * @throws UserError if the file cannot be written.
 */
export function keepVerifier(section: Section, verifier: string): void {
  const file = verifierFile(section);
  try {
    mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
    writeFileSync(`${file}.new`, `${verifier}\n`);
    renameSync(`${file}.new`, file);
  } catch (error) {
    throw new UserError(
      `The verifier key of the log cannot be kept in ${file} (${errorCode(error) ?? String(error)}), so no key was set.`,
    );
  }
}

/** The verifier key that was kept, and where; null if none was. */
export function keptVerifier(section: Section): { readonly verifier: string; readonly file: string } | null {
  const file = verifierFile(section);
  try {
    return { verifier: readFileSync(file, 'utf8').trim(), file };
  } catch {
    return null;
  }
}
