import { generateKeyPairSync, sign } from 'node:crypto';
import { github } from '../../../src/revocation/senders/github.ts';
import { createHarness } from '../../identity/harness.ts';
import { noteSecret } from '../../support/secrets.ts';
import { toBase64, toBytes } from './standard-sender.ts';

export const KEYS_URL = 'https://github.test/meta/public_keys/secret_scanning';
export const STORED_UNDER = `webhook ${KEYS_URL}`;

const encodings = {
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
} as const;
export const ecPems = (namedCurve = 'P-256') => generateKeyPairSync('ec', { ...encodings, namedCurve });
export const rsaPems = () => generateKeyPairSync('rsa', { ...encodings, modulusLength: 2048 });

/** A key as GitHub has one: its document names it by `id`. */
export function createKey(id: string, { publicKey, privateKey } = ecPems()) {
  noteSecret(privateKey);
  return {
    id,
    inline: { key_identifier: id, key: publicKey },
    published: { key_identifier: id, key: publicKey, is_current: true },
    sign: (body: Uint8Array): Uint8Array => sign('sha256', body, privateKey),
  };
}
export type Key = ReturnType<typeof createKey>;

/** One isolate that reads GitHub's keys at KEYS_URL, where `published` stands until it goes down. */
export function createSource(
  published: readonly Key[],
  options: { token?: string; like?: ReturnType<typeof createHarness>; inline?: readonly Key[] } = {},
) {
  const harness = createHarness({ ...(options.like !== undefined && { store: options.like.store }) });
  const publish = (document: unknown) => harness.answers.set(KEYS_URL, () => Response.json(document));
  publish({ public_keys: published.map((key) => key.published) });
  const fields =
    options.inline === undefined ? { keysUrl: KEYS_URL } : { keys: options.inline.map((key) => key.inline) };
  const adapter = github(
    {
      kind: 'github',
      name: 'github',
      ...fields,
      ...(options.token !== undefined && { keysToken: 'KEYS_TOKEN' }),
      events: ['token.leaked'],
      workspaces: ['*'],
    },
    {
      secret: () => options.token!,
      runtime: { ...harness.runtime, background: harness.dependencies.background },
      store: harness.store,
    },
  );
  /** Signs `body` with `key`; what is in `over` arrives in place of what is right. */
  const deliver = async (
    key: Key,
    body: string,
    over: { id?: string | null; signature?: Uint8Array | string | null; arriving?: Uint8Array } = {},
  ) => {
    const { id = key.id, signature = key.sign(toBytes(body)), arriving = toBytes(body) } = over;
    const headers = new Headers();
    if (id !== null) headers.set('GITHUB-PUBLIC-KEY-IDENTIFIER', id);
    if (signature !== null) {
      headers.set('GITHUB-PUBLIC-KEY-SIGNATURE', typeof signature === 'string' ? signature : toBase64(signature));
    }
    return await adapter.receive({ headers, body: arriving });
  };
  const outcomeOf = async (...sent: Parameters<typeof deliver>): Promise<string> => {
    const result = await deliver(...sent);
    if (result.ok) return 'accepted';
    const { error } = result;
    return 'reason' in error ? error.reason : `${error.kind} for ${error.retryAfterSeconds} s`;
  };
  return { harness, publish, deliver, outcomeOf, goDown: () => harness.answers.delete(KEYS_URL) };
}
