import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { VERIFIED_JWTS_MAX_COUNT } from '../src/config/limits.ts';
import type { SignatureAlgorithm } from '../src/config/issuers.ts';
import type { Signed } from './signed.ts';
import { startWorker } from './start-worker.ts';
import { median } from './statistics.ts';

const AUDIENCE = 'countersign';
/** More than the authenticator remembers, and sent in turns: none is known any more when it comes again. */
const TOKENS_PER_ALGORITHM = VERIFIED_JWTS_MAX_COUNT + 100;
const VERIFICATIONS_PER_REQUEST = 400;
const ROUNDS = 40;
const WARM_UP_ROUNDS = 5;
const RATIO_MAX = 1.5;

/** One of each kind of key, as most issuers use it. */
const MEASURED = ['RS256', 'ES256', 'EdDSA'] as const satisfies readonly SignatureAlgorithm[];

/**
 * What verifying a JWT costs in workerd, beside a bare `jose.jwtVerify` with the same local key set, which checks the
 * signature and `exp` and nothing else. False: more than RATIO_MAX, or a call to network or D1 in the steady state.
 */
export async function benchVerification(): Promise<boolean> {
  const signed = await Promise.all(MEASURED.map(signTokens));
  await using worker = await startWorker('bench/worker/verify.ts', { SIGNED: signed });

  /** Milliseconds of one request, and the calls to network and D1 that the Worker has made by then. */
  const request = async (verifier: string, times: number): Promise<{ ms: number; calls: number }> => {
    const startedAt = performance.now();
    const response = await fetch(`${worker.url}?verifier=${verifier}&times=${times}`);
    const text = await response.text();
    const ms = performance.now() - startedAt;
    if (!response.ok) throw new Error(`the Worker answered ${response.status}: ${text}`);
    const answer: { known: boolean; network: number; database: number } = JSON.parse(text);
    if (!answer.known) throw new Error(`the Worker knows no ${verifier}`);
    return { ms, calls: answer.network + answer.database };
  };

  const measured = new Map(MEASURED.map((alg) => [alg, { ours: [] as number[], bare: [] as number[] }]));
  let callsBefore = 0;
  let callsAfter = 0;
  for (let round = -WARM_UP_ROUNDS; round < ROUNDS; round += 1) {
    // One after the other, in turns: whatever else the machine does hits both alike.
    for (const [alg, microseconds] of measured) {
      for (const kind of round % 2 === 0 ? (['ours', 'bare'] as const) : (['bare', 'ours'] as const)) {
        const empty = await request(`${kind}:${alg}`, 0);
        const full = await request(`${kind}:${alg}`, VERIFICATIONS_PER_REQUEST);
        if (round < 0) callsBefore = full.calls;
        else microseconds[kind].push(((full.ms - empty.ms) * 1000) / VERIFICATIONS_PER_REQUEST);
        callsAfter = full.calls;
      }
    }
  }

  const rows = [...measured].map(([alg, { ours, bare }]) => {
    const ratio = median(ours.map((microseconds, round) => microseconds / (bare[round] ?? Number.NaN)));
    return { alg, 'ours µs': round1(median(ours)), 'bare µs': round1(median(bare)), ratio: Number(ratio.toFixed(2)) };
  });
  console.log(
    `Verifying a JWT that was not seen lately, in workerd: medians of ${ROUNDS} interleaved rounds of ${VERIFICATIONS_PER_REQUEST} verifications.`,
  );
  console.table(rows);
  console.log(
    `Calls to network and D1 before measuring: ${callsBefore}, while measuring: ${callsAfter - callsBefore}.`,
  );
  return callsAfter === callsBefore && rows.every(({ ratio }) => ratio <= RATIO_MAX);
}

/** JWTs of the size that identity providers send: half a dozen claims beside the registered ones. */
async function signTokens(alg: SignatureAlgorithm): Promise<Signed> {
  const { publicKey, privateKey } = await generateKeyPair(alg);
  const issuer = `https://${alg.toLowerCase()}.issuer.example`;
  const tokens = await Promise.all(
    Array.from({ length: TOKENS_PER_ALGORITHM }, async (_, index) =>
      new SignJWT({
        email: `person-${index}@acme.example`,
        repository: 'acme/shop',
        repository_id: '123456789',
        ref: 'refs/heads/main',
        groups: ['deployers', 'everyone'],
      })
        .setProtectedHeader({ alg, kid: 'key-1', typ: 'JWT' })
        .setIssuer(issuer)
        .setAudience(AUDIENCE)
        .setSubject(`person-${index}`)
        .setIssuedAt()
        .setExpirationTime('1h')
        .sign(privateKey),
    ),
  );
  const jwk = { ...(await exportJWK(publicKey)), kid: 'key-1', alg, use: 'sig' };
  return { alg, issuer, audience: AUDIENCE, jwks: { keys: [jwk] }, tokens };
}

const round1 = (value: number): number => Math.round(value * 10) / 10;
