import { createLocalJWKSet, jwtVerify } from 'jose';
import { createAuthenticator } from '../../src/identity/authenticator.ts';
import type { IssuerPolicy } from '../../src/config/issuers.ts';
import { createKeySource } from '../../src/identity/keys.ts';
import type { Signed } from '../signed.ts';

interface Env {
  readonly SIGNED: readonly Signed[];
}

const HEADERS = { 'Content-Type': 'application/json' };
const KEYS_URL = 'https://keys.example/';

let network = 0;
let database = 0;
let verifiers: Promise<Map<string, (times: number) => Promise<void>>> | undefined;

/**
 * `?verifier=bare:ES256&times=100` verifies that many JWTs, one after the other, and answers how many calls to network
 * and D1 there have been so far. Time is taken outside: a Worker's clock stands still while it computes.
 */
export default {
  fetch: async (request: Request, { SIGNED }: Env): Promise<Response> => {
    verifiers ??= prepare(SIGNED);
    const { searchParams } = new URL(request.url);
    const times = Number(searchParams.get('times'));
    const verify = (await verifiers).get(searchParams.get('verifier') ?? '');
    if (verify !== undefined) await verify(times);
    return new Response(JSON.stringify({ known: verify !== undefined, network, database }), { headers: HEADERS });
  },
};

async function prepare(signed: readonly Signed[]): Promise<Map<string, (times: number) => Promise<void>>> {
  const authenticator = createAuthenticator({
    issuers: signed.map(policyOf),
    keys: createKeySource({
      runtime: {
        now: () => Date.now(),
        fetch: async (url) => {
          network += 1;
          const { jwks } = signed.find(({ alg }) => url === KEYS_URL + alg) ?? {};
          return await Promise.resolve(Response.json(jwks));
        },
        timeout: (ms) => AbortSignal.timeout(ms),
        log: () => {},
      },
      store: {
        read: async () => {
          database += 1;
          return await Promise.resolve(null);
        },
        write: async () => {
          database += 1;
          await Promise.resolve();
        },
      },
      background: (work) => void work,
    }),
    runtime: { now: () => Date.now() },
  });

  const found = new Map<string, (times: number) => Promise<void>>();
  for (const { alg, jwks, tokens } of signed) {
    // As a request has them: parsed before anything is asked of them.
    const requests = tokens.map((token) => ({
      method: 'GET',
      url: 'https://countersign.example/api/v1/whoami',
      headers: new Headers({ Authorization: `Bearer ${token}` }),
    }));
    const keys = createLocalJWKSet(jwks);
    let next = 0;
    found.set(`ours:${alg}`, async (times) => {
      for (let index = 0; index < times; index += 1) {
        const verified = await authenticator.authenticate(requests[next++ % requests.length]!);
        if (!verified.ok) throw new Error(`refused: ${JSON.stringify(verified.error)}`);
      }
    });
    found.set(`bare:${alg}`, async (times) => {
      for (let index = 0; index < times; index += 1) await jwtVerify(tokens[index % tokens.length]!, keys);
    });
  }
  return found;
}

const policyOf = ({ alg, issuer, audience }: Signed): IssuerPolicy => ({
  issuer,
  audience: [audience],
  algorithms: [alg],
  keys: { kind: 'uri', jwksUri: KEYS_URL + alg },
  subject: 'sub',
  label: 'email',
  actorType: 'user',
  maxAgeSeconds: 24 * 60 * 60,
  clockToleranceSeconds: 30,
  acceptTyp: ['application/jwt'],
  header: 'Authorization',
});
