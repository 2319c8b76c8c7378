import { standard } from '../../../src/revocation/senders/standard.ts';
import { createHarness } from '../../identity/harness.ts';
import { noteSecret } from '../../support/secrets.ts';

const encoder = new TextEncoder();

export const toBytes = (body: string | Uint8Array): Uint8Array =>
  typeof body === 'string' ? encoder.encode(body) : body;

export const toBase64 = (bytes: Uint8Array): string => btoa(String.fromCharCode(...bytes));

/** A secret of its own, as `openssl rand -base64` makes it. */
export function createSecret(bytes = 32): string {
  const secret = `whsec_${toBase64(crypto.getRandomValues(new Uint8Array(bytes)))}`;
  noteSecret(secret);
  return secret;
}

/** `v1,…` over these very bytes: written against the specification, not with the package that is tested. */
export async function signatureOf(secret: string, id: string, timestamp: string, body: Uint8Array): Promise<string> {
  const key = Uint8Array.from(atob(secret.slice('whsec_'.length)), (byte) => byte.charCodeAt(0));
  const hmac = { name: 'HMAC', hash: 'SHA-256' };
  const imported = await crypto.subtle.importKey('raw', key, hmac, false, ['sign']);
  const signed = new Uint8Array([...encoder.encode(`${id}.${timestamp}.`), ...body]);
  return `v1,${toBase64(new Uint8Array(await crypto.subtle.sign(hmac, imported, signed)))}`;
}

export interface Sent {
  readonly body?: string | Uint8Array;
  /** What arrives in place of the body that was signed. */
  readonly arriving?: Uint8Array;
  readonly secret?: string;
  readonly ageSeconds?: number;
  /** Over those that are right; null leaves one out. */
  readonly headers?: Readonly<Record<string, string | null>>;
}

/** A source with these secrets, by the names KEY_0, KEY_1 and so on. */
export function createSource(secrets: readonly string[]) {
  const values = new Map(secrets.map((secret, index) => [`KEY_${index}`, secret]));
  const harness = createHarness();
  const adapter = standard(
    { kind: 'standard', name: 'scanner', secrets: [...values.keys()], events: ['token.leaked'], workspaces: ['*'] },
    {
      secret: (name) => values.get(name)!,
      // The package reads the machine's clock.
      runtime: { ...harness.runtime, now: () => Date.now(), background: () => {} },
      store: harness.store,
    },
  );
  const deliver = async (sent: Sent = {}) => {
    const body = toBytes(sent.body ?? '{}');
    const id = 'msg_1';
    const timestamp = String(Math.floor(Date.now() / 1000) - (sent.ageSeconds ?? 0));
    const headers = new Headers({
      'webhook-id': id,
      'webhook-timestamp': timestamp,
      'webhook-signature': await signatureOf(sent.secret ?? secrets[0]!, id, timestamp, body),
    });
    for (const [name, value] of Object.entries(sent.headers ?? {})) {
      if (value === null) headers.delete(name);
      else headers.set(name, value);
    }
    return await adapter.receive({ headers, body: sent.arriving ?? body });
  };
  return { deliver };
}
