import * as z from 'zod';
import { TOKENS } from './client.ts';
import { leakDelivery, sendUntilAccepted, type Leak } from './leak.ts';
import { any } from './random-faults.ts';
import { OVERLAPS, type Rotation } from './rotation.ts';
import type { Tally } from './tally.ts';
import type { LocalWebhooks } from '../../local/webhook-keys.ts';

/** Somebody who calls, and where. */
export interface SoakCaller {
  readonly jwt: string;
  readonly workspaceUuid: string;
}

/** A token that somebody was given. */
interface Held {
  readonly id: string;
  readonly secret: string;
  /** The JWT of its owner, who alone may rotate it. */
  readonly owner: string;
  readonly workspaceUuid: string;
}

const Created = z.object({ data: z.object({ id: z.string(), token: z.string() }) });

/** Longer than the service takes for anything, and a busy machine. */
const PATIENCE_MS = 90_000;
/** Of creates, how many have a key, and of those, how many are sent again although the first was answered well. */
const KEYED_SHARE = 0.5;
const REPEATED_SHARE = 0.3;

export type Operations = ReturnType<typeof createOperations>;

/** The operations of a mixed load. None rejects: what became of each is in the tally. */
export function createOperations(url: string, webhooks: LocalWebhooks, tally: Tally) {
  const held: Held[] = [];
  const leaks: Leak[] = [];
  const rotations: Rotation[] = [];

  const send = async (
    caller: SoakCaller,
    method: string,
    path: string,
    more: { readonly body?: object; readonly headers?: Readonly<Record<string, string>> } = {},
  ): Promise<{ readonly status: number; readonly text: string } | null> => {
    const operation = `${method} ${path.split('?')[0] ?? ''}`;
    try {
      const response = await fetch(`${url}${path}`, {
        method,
        headers: { Authorization: `Bearer ${caller.jwt}`, 'Content-Type': 'application/json', ...more.headers },
        ...(more.body !== undefined && { body: JSON.stringify(more.body) }),
        signal: AbortSignal.timeout(PATIENCE_MS),
      });
      const text = await response.text();
      tally.add(operation, response.status, text);
      return { status: response.status, text };
    } catch (error) {
      const cause = error instanceof Error && error.cause instanceof Error ? `, ${error.cause.message}` : '';
      tally.lost(operation, `${String(error)}${cause}`);
      return null;
    }
  };
  const pathOf = ({ id, workspaceUuid }: Held): string => `${TOKENS}/${id}?workspace_uuid=${workspaceUuid}`;
  const listOf = (caller: SoakCaller): string => `${TOKENS}?workspace_uuid=${caller.workspaceUuid}`;
  const tokensBeside = ({ workspaceUuid }: SoakCaller): readonly Held[] =>
    held.filter((token) => token.workspaceUuid === workspaceUuid);
  /** Nobody revokes or leaks it beside. */
  const take = (from: readonly Held[]): Held | null => {
    if (from.length === 0) return null;
    const token = any(from);
    held.splice(held.indexOf(token), 1);
    return token;
  };

  const mint = async (caller: SoakCaller, path: string, body: object, key: string | null): Promise<Held | null> => {
    const headers = key === null ? {} : { 'Idempotency-Key': key };
    const answer = await send(caller, 'POST', path, { body, headers });
    if (answer?.status !== 201) return null;
    const { data } = Created.parse(JSON.parse(answer.text));
    return { id: data.id, secret: data.token, owner: caller.jwt, workspaceUuid: caller.workspaceUuid };
  };
  /** Mints a token, and now and then asks for it again. @returns it, if it was handed out. */
  const mintSafely = async (
    caller: SoakCaller,
    path: string,
    body: object,
    key: string | null,
  ): Promise<Held | null> => {
    const first = await mint(caller, path, body, key);
    const isRepeated = key !== null && (first === null || Math.random() < REPEATED_SHARE);
    const second = isRepeated ? await mint(caller, path, body, key) : null;
    if (first !== null && second !== null && (first.id !== second.id || first.secret !== second.secret)) {
      tally.wrong(`one Idempotency-Key made ${first.id} and ${second.id}`);
    }
    return first ?? second;
  };

  return {
    leaks: (): readonly Leak[] => leaks,
    rotations: (): readonly Rotation[] => rotations,
    list: async (caller: SoakCaller): Promise<void> => {
      await send(caller, 'GET', listOf(caller));
    },
    listAnew: async (caller: SoakCaller): Promise<void> => {
      await send(caller, 'GET', listOf(caller), { headers: { 'Cache-Control': 'no-cache' } });
    },
    whoami: async (caller: SoakCaller): Promise<void> => {
      await send(caller, 'GET', '/api/v1/whoami');
    },
    audit: async (caller: SoakCaller): Promise<void> => {
      await send(caller, 'GET', '/api/v1/audit/events?limit=20');
    },
    get: async (caller: SoakCaller) => {
      const beside = tokensBeside(caller);
      const path = beside.length === 0 ? listOf(caller) : pathOf(any(beside));
      await send(caller, 'GET', path);
    },
    create: async (caller: SoakCaller) => {
      const key = Math.random() < KEYED_SHARE ? crypto.randomUUID() : null;
      const name = `soak-${Math.floor(Math.random() * 1_000)}`;
      const token = await mintSafely(caller, listOf(caller), { name, scopes: ['api:read'], expires_in: '30d' }, key);
      if (token !== null) held.push(token);
    },
    rotate: async (caller: SoakCaller) => {
      const token = take(tokensBeside(caller).filter(({ owner }) => owner === caller.jwt));
      if (token === null) return;
      const path = `${TOKENS}/${token.id}/rotate?workspace_uuid=${token.workspaceUuid}`;
      const successor = await mintSafely(caller, path, { overlap: any(OVERLAPS) }, crypto.randomUUID());
      rotations.push({ oldId: token.id, handedOut: new Set(successor === null ? [] : [successor.id]) });
      if (successor !== null) held.push(successor);
    },
    update: async (caller: SoakCaller) => {
      const beside = tokensBeside(caller);
      const body = { name: `renamed-${Math.floor(Math.random() * 1_000)}` };
      if (beside.length > 0) await send(caller, 'PATCH', pathOf(any(beside)), { body });
    },
    revoke: async (caller: SoakCaller) => {
      const token = take(tokensBeside(caller));
      if (token !== null) await send(caller, 'DELETE', pathOf(token));
    },
    leak: async () => {
      const token = take(held);
      if (token === null) return;
      const { webhookId, delivery } = leakDelivery(token.secret, webhooks);
      try {
        await sendUntilAccepted({ url }, delivery);
        leaks.push({ webhookId, tokenId: token.id });
      } catch (error) {
        tally.wrong(String(error));
      }
    },
  };
}
