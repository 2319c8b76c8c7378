import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  type KeyObject,
} from 'node:crypto';
import path from 'node:path';
import * as z from 'zod';
import { UserError } from './errors.ts';
import { openSecretFile, readSecretFile, STATE_FILES } from './secrets.ts';

/** A public key as a source of kind `github` lists it. */
export interface GithubKey {
  readonly key_identifier: string;
  /** PEM. */
  readonly key: string;
}

/** The webhook keys of a local run. It has both ends of each, because one person plays both. */
export interface LocalWebhooks {
  /** The value of FINGERPRINT_KEYS. */
  readonly fingerprintKeys: string;
  /** The secrets that the local policy names. */
  readonly secrets: Readonly<z.infer<typeof Secrets>>;
  readonly github: { readonly privateKey: KeyObject; readonly publicKey: GithubKey };
}

const signingSecret = z.string().startsWith('whsec_');
const coordinate = z.string().min(1);
const Secrets = z.object({ WEBHOOK_SCANNER: signingSecret, WEBHOOK_HR: signingSecret });
const Keys = z.object({
  secrets: Secrets,
  github: z.object({
    kty: z.literal('EC'),
    crv: z.literal('P-256'),
    x: coordinate,
    y: coordinate,
    d: coordinate,
  }),
});

const keysIn = (stateDir: string): string => path.join(stateDir, 'webhook-keys.json');
/** A file of its own: tokens are recognised by these keys for as long as they live, and a user may put a new key in front. */
const fingerprintKeysIn = (stateDir: string): string => path.join(stateDir, STATE_FILES.FINGERPRINT_KEYS);

/**
 * Opens the webhook keys of a state directory. The first call creates them, readable by their owner only.
 *
 * @throws UserError if a file does not hold them.
 */
export async function openWebhooks(stateDir: string): Promise<LocalWebhooks> {
  const keys = await openSecretFile(keysIn(stateDir), newKeys);
  return webhooksOf(stateDir, keys, await openSecretFile(fingerprintKeysIn(stateDir), newFingerprintKey));
}

/**
 * Reads the webhook keys of a state directory. It creates none: no service would know the signatures of new keys.
 *
 * @throws UserError if there are none.
 */
export function readWebhooks(stateDir: string): LocalWebhooks {
  const keys = readSecretFile(keysIn(stateDir));
  const fingerprintKeys = readSecretFile(fingerprintKeysIn(stateDir));
  if (keys === null || fingerprintKeys === null) {
    throw new UserError(
      `There are no webhook keys in ${stateDir}. \`npm start\` makes them; STATE_DIR=… names the directory of another run.`,
    );
  }
  return webhooksOf(stateDir, keys, fingerprintKeys);
}

function webhooksOf(stateDir: string, text: string, fingerprintKeys: string): LocalWebhooks {
  try {
    const { secrets, github } = Keys.parse(JSON.parse(text));
    const privateKey = createPrivateKey({ key: github, format: 'jwk' });
    const key = createPublicKey(privateKey).export({ type: 'spki', format: 'pem' }).toString();
    const publicKey = { key_identifier: createHash('sha256').update(key).digest('hex'), key };
    return { fingerprintKeys: fingerprintKeys.trim(), secrets, github: { privateKey, publicKey } };
  } catch {
    throw new UserError(`${keysIn(stateDir)} does not hold webhook keys. Delete it: the next start makes new ones.`);
  }
}

function newKeys(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const secrets = { WEBHOOK_SCANNER: newSigningSecret(), WEBHOOK_HR: newSigningSecret() };
  return `${JSON.stringify({ secrets, github: privateKey.export({ format: 'jwk' }) }, null, 2)}\n`;
}

const newSigningSecret = (): string => `whsec_${randomBytes(32).toString('base64')}`;

/** Each key has an id of its own, because a key that replaces a lost one must not pass for it. */
const newFingerprintKey = (): string =>
  `local-${randomBytes(4).toString('hex')}:${randomBytes(32).toString('base64url')}\n`;
