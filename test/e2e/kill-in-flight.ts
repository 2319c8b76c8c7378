import { TOKENS, type Answer, type Client } from './client.ts';
import { phaseOf, type Moment, type Phase, type Watched } from './kill-moments.ts';
import type { Service } from './service.ts';
import type { Trail } from './trail.ts';

export const OPERATIONS = ['create', 'update', 'revoke'] as const;
export type Operation = (typeof OPERATIONS)[number];

export interface Kill {
  readonly phase: Phase;
  /** False where the caller had its answer before the kill: then nothing was in flight. */
  readonly inFlight: boolean;
  /** The id of a token whose secret the caller holds. */
  readonly deliveredTokenId: string | null;
}

const METHODS = { create: 'POST', update: 'PATCH', revoke: 'DELETE' } as const;

/**
 * Sends a mutation, kills workerd at the moment, and waits until another stands in.
 *
 * @throws if the moment never comes, or workerd does not come back.
 */
export async function killInFlight(
  { service, client, trail }: { readonly service: Service; readonly client: Client; readonly trail: Trail },
  operation: Operation,
  moment: Moment,
): Promise<Kill> {
  const tokenId = operation === 'create' ? null : (await client.create('to-be-changed')).id;
  const method = METHODS[operation];
  await service.control.clearFaults();
  if (moment.fault !== null) await service.control.fault({ ...moment.fault, match: { method } });

  let answered = false;
  const watched: Watched = {
    service,
    trail,
    method,
    lastSeq: trail.latest()?.seq ?? 0,
    received: (await service.control.requests({ method })).length,
    isAnswered: () => answered,
  };
  const answer = (async (): Promise<Answer | null> => {
    try {
      return await sendMutation(client, operation, tokenId);
    } catch {
      return null;
    } finally {
      answered = true;
    }
  })();
  await moment.arrived(watched);
  const inFlight = !answered;
  service.killWorkerd();
  const got = await answer;
  const phase = await phaseOf(watched);
  await service.untilRestarted();
  return { phase, inFlight, deliveredTokenId: operation === 'create' ? deliveredIdOf(got) : null };
}

async function sendMutation(client: Client, operation: Operation, tokenId: string | null): Promise<Answer> {
  const bodies = {
    create: { name: 'in-flight', scopes: ['api:read'], expires_in: '30d' },
    update: { name: 'changed', description: 'while it was killed' },
    revoke: undefined,
  };
  const path = tokenId === null ? TOKENS : `${TOKENS}/${tokenId}`;
  return await client.send(METHODS[operation], path, bodies[operation]);
}

const deliveredIdOf = (answer: Answer | null): string | null =>
  answer !== null && answer.status < 300 ? (/"uuid":"([^"]+)"/.exec(answer.text)?.[1] ?? null) : null;
