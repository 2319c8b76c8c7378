import { TOKENS, type Client } from './client.ts';
import { WEBHOOK_MOMENTS, MOMENTS, phaseOf, type Moment, type Phase, type Watched } from './kill-moments.ts';
import type { Behaviour } from '../pipeops-simulator/faults-wire.ts';
import { leakDelivery, leaverDelivery, sendDelivery, sendUntilAccepted, type Leak, type Leaver } from './leak.ts';
import { any } from './random-faults.ts';
import { OVERLAPS, type Rotation, rotationsOf } from './rotation.ts';
import type { LocalWebhooks } from '../../local/webhook-keys.ts';
import type { Service } from './service.ts';
import type { Trail } from './trail.ts';

export const OPERATIONS = ['create', 'update', 'rotate', 'revoke', 'leak', 'offboard'] as const;
export type Operation = (typeof OPERATIONS)[number];

export interface Kill {
  readonly operation: Operation;
  readonly phase: Phase;
  /** False where all was done before the kill: then nothing was in flight. */
  readonly inFlight: boolean;
  /** Whether its sender had the answer: a webhook is in flight after that as well. */
  readonly answered: boolean;
  /** The id of a token whose secret the caller holds. */
  readonly deliveredTokenId: string | null;
  /** Null: it was no leak. */
  readonly leak: Leak | null;
  /** Null: nobody was offboarded. */
  readonly leaver: Leaver | null;
  /** Null: nothing was rotated. */
  readonly rotation: Rotation | null;
}

/** What a kill needs of its surroundings. */
export interface Scene {
  readonly service: Service;
  readonly client: Client;
  readonly trail: Trail;
  readonly webhooks: LocalWebhooks;
  /** A caller of its own, with a role that mints. */
  readonly callerOf: (subject: string) => Promise<Client>;
  /** Where all of it happens. */
  readonly workspaceUuid: string;
}

/** Something that is on its way when workerd is killed. */
interface InFlight {
  readonly method: string;
  readonly send: () => Promise<{ readonly status: number; readonly text: string }>;
  /** Whether there is work left after the answer. */
  readonly isOver: (answered: boolean) => boolean;
  /** What its sender does once workerd is back. */
  readonly afterwards: (answered: boolean) => Promise<void>;
  readonly leak: Leak | null;
  readonly leaver: Leaver | null;
  readonly rotation: Rotation | null;
}

const isWebhook = (operation: Operation): operation is 'leak' | 'offboard' =>
  operation === 'leak' || operation === 'offboard';

export const momentsOf = (operation: Operation): readonly Moment[] =>
  isWebhook(operation) ? WEBHOOK_MOMENTS : MOMENTS;

/**
 * Sends something, kills workerd at the moment, and waits until another stands in.
 *
 * @param lie how PipeOps behaves from when it is sent until another workerd stands in; null: as it should.
 * @throws if the moment never comes, or workerd does not come back.
 */
export async function killInFlight(
  scene: Scene,
  operation: Operation,
  moment: Moment,
  lie: Behaviour | null,
): Promise<Kill> {
  const { service, trail, workspaceUuid } = scene;
  const { method, send, isOver, afterwards, leak, leaver, rotation } = await prepare(scene, operation);
  await service.control.clearFaults();
  if (lie !== null) await service.control.behave(workspaceUuid, lie);
  if (moment.fault !== null) await service.control.fault({ ...moment.fault, match: { method } });

  let answered = false;
  const watched: Watched = {
    service,
    trail,
    method,
    lastSeq: trail.latest()?.seq ?? 0,
    received: (await service.control.requests({ method })).length,
    isOver: () => isOver(answered),
  };
  const answer = (async () => {
    try {
      return await send();
    } catch {
      return null;
    } finally {
      answered = true;
    }
  })();
  await moment.arrived(watched);
  const inFlight = !isOver(answered);
  service.killWorkerd();
  const got = await answer;
  const phase = await phaseOf(watched);
  await service.untilRestarted();
  if (lie !== null) await service.control.behave(workspaceUuid, null);
  await afterwards(got !== null);
  const deliveredTokenId =
    operation === 'create' && got !== null && got.status < 300
      ? (/"uuid":"([^"]+)"/.exec(got.text)?.[1] ?? null)
      : null;
  return { operation, phase, inFlight, answered: got !== null, deliveredTokenId, leak, leaver, rotation };
}

async function prepare(scene: Scene, operation: Operation): Promise<InFlight> {
  if (operation === 'leak') return await prepareLeak(scene);
  if (operation === 'rotate') return await prepareRotation(scene);
  return operation === 'offboard' ? await prepareLeaver(scene) : await prepareMutation(scene, operation);
}

async function prepareMutation(
  { client }: Scene,
  operation: Exclude<Operation, 'leak' | 'offboard' | 'rotate'>,
): Promise<InFlight> {
  const bodies = {
    create: { name: 'in-flight', scopes: ['api:read'], expires_in: '30d' },
    update: { name: 'changed', description: 'while it was killed' },
    revoke: undefined,
  };
  const method = { create: 'POST', update: 'PATCH', revoke: 'DELETE' }[operation];
  const path = operation === 'create' ? TOKENS : `${TOKENS}/${(await client.create('to-be-changed')).id}`;
  return {
    method,
    send: async () => await client.send(method, path, bodies[operation]),
    isOver: (answered) => answered,
    afterwards: async () => {},
    leak: null,
    leaver: null,
    rotation: null,
  };
}

/** A rotation. Afterwards its caller asks again, as it should, with the key of the first time, and then, as it should not, with another. */
async function prepareRotation({ client, trail }: Scene): Promise<InFlight> {
  const { id: oldId } = await client.create('to-be-rotated');
  const overlap = any(OVERLAPS);
  const { rotation, send } = rotationsOf(client, oldId, overlap);
  const key = crypto.randomUUID();
  const isRevoked = (): boolean =>
    trail.orders().some(({ token_id, state }) => token_id === oldId && state === 'confirmed');
  return {
    method: 'POST',
    send: async () => await send(key),
    isOver: (answered) => answered && (overlap !== '0s' || isRevoked()),
    afterwards: async () => {
      await send(key);
      await send(crypto.randomUUID());
    },
    leak: null,
    leaver: null,
    rotation,
  };
}

async function prepareLeak({ service, client, trail, webhooks }: Scene): Promise<InFlight> {
  const { id: tokenId, secret } = await client.create('leaked');
  const { webhookId, delivery } = leakDelivery(secret, webhooks);
  return {
    method: 'DELETE',
    send: async () => await sendDelivery(service, delivery),
    isOver: () => trail.orders().some((order) => order.token_id === tokenId && order.state === 'confirmed'),
    // As senders do: the same again, until it is taken.
    afterwards: async (answered) => {
      if (!answered) await sendUntilAccepted(service, delivery);
    },
    leak: { webhookId, tokenId },
    leaver: null,
    rotation: null,
  };
}

async function prepareLeaver({ service, trail, webhooks, callerOf }: Scene): Promise<InFlight> {
  const subject = `leaver-${crypto.randomUUID()}`;
  const caller = await callerOf(subject);
  const [first, second] = [await caller.create('first'), await caller.create('second')];
  // One of them is being replaced: its own end is ordered, for later than the leaver's.
  const { rotation, send } = rotationsOf(caller, first.id, '20s');
  await send(crypto.randomUUID());
  const tokenIds = [first.id, second.id, ...rotation.handedOut];
  const { webhookId, delivery } = leaverDelivery(subject, webhooks);
  return {
    method: 'DELETE',
    send: async () => await sendDelivery(service, delivery),
    isOver: () => {
      const confirmed = trail.orders().filter(({ state }) => state === 'confirmed');
      return tokenIds.every((tokenId) => confirmed.some(({ token_id }) => token_id === tokenId));
    },
    afterwards: async (answered) => {
      if (!answered) await sendUntilAccepted(service, delivery);
    },
    leak: null,
    leaver: { webhookId, subject, tokenIds },
    rotation: null,
  };
}
