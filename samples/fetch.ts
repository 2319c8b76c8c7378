/** An answer of the service: PipeOps' envelope. */
interface Answer {
  readonly message: string;
  readonly data: { readonly id: string; readonly token: string };
}

/**
 * Mints a token for one job, and revokes it when the job is done.
 *
 * @param send sends a request: `fetch`, or that of a service binding.
 * @param jwt the JWT that you already have.
 */
export async function withToken<T>(
  send: typeof fetch,
  url: string,
  jwt: string,
  job: (secret: string) => Promise<T>,
): Promise<T> {
  const tokens = `${url}/api/v1/service-account-tokens`;
  const headers = { Authorization: `Bearer ${jwt}`, 'Content-Type': 'application/json' };
  const create = {
    method: 'POST',
    // A repeat with the same key mints nothing new, so a lost answer may be asked for again.
    headers: { ...headers, 'Idempotency-Key': crypto.randomUUID() },
    body: JSON.stringify({ name: 'nightly-report', scopes: ['api:read'], expires_in: '1h' }),
  };
  const created = await send(tokens, create).catch(async () => await send(tokens, create));
  const { message, data }: Answer = JSON.parse(await created.text());
  if (!created.ok) throw new Error(`${created.status}: ${message}`);
  try {
    return await job(data.token);
  } finally {
    await send(`${tokens}/${data.id}`, { method: 'DELETE', headers });
  }
}
