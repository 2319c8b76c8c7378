import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { SIGNATURE_ALGORITHMS, type SignatureAlgorithm } from '../src/identity/issuer-policy.ts';
import { startWorker } from './start-worker.ts';
import { median } from './statistics.ts';
import type { Signed } from './worker/verify.ts';

const AUDIENCE = 'countersign';
const TOKENS_PER_ALGORITHM = 32;
const VERIFICATIONS_PER_REQUEST = 400;
const ROUNDS = 40;
const WARM_UP_ROUNDS = 5;
const RATIO_MAX = 1.5;

const MEASURED = SIGNATURE_ALGORITHMS.filter((alg) => alg !== 'PS256');

/**
 * What verifying a JWT costs in workerd, beside a bare `jose.jwtVerify` with the same local key set, which checks the
 * signature and `exp` and nothing else. False: more than RATIO_MAX, or a call to network or D1 in the steady state.
 */
export async function benchVerification(): Promise<boolean> {
  const signed = await Promise.all(MEASURED.map(signTokens));
  await using worker = await startWorker('bench/worker/tmp-parts.ts', { SIGNED: signed });

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


  const names=['ours','bare','opts','verify','cred','hget','unverified','header','payload','identity'];
  const m = new Map(names.map((n)=>[n,[] as number[]]));
  for (let r=-5;r<25;r++) for (const n of names){ const e=await request(n+':RS256',0); const f=await request(n+':RS256',1000); if(r>=0) m.get(n)!.push(f.ms-e.ms);}
  console.table([...m].map(([n,v])=>({n, us: median(v).toFixed(1)})));
  return true;
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

await benchVerification();
