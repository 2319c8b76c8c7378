import type { TokenState } from '../pipeops-simulator/faults-wire.ts';
import type { Leak, Leaver } from './leak.ts';
import { replacedBy, type Rotation } from './rotation.ts';
import type { DeliveryRow, InventoryRow, OrderRow, TrailRow } from './trail.ts';

const CREATE = 'service_account_token.create';
const REVOKE = 'service_account_token.revoke';

/**
 * What must hold once everything is settled, whenever and however often the service was killed.
 *
 * @param rows the whole trail.
 * @param tokens the truth in PipeOps, of tokens that were made through this service alone.
 * @returns the violations, in words; none where all is well.
 */
export function violations(rows: readonly TrailRow[], tokens: readonly TokenState[]): string[] {
  return [...unrecordedCommits(rows, tokens), ...openAttempts(rows), ...unownedLiveTokens(rows, tokens)];
}

/** Promise 2: no effect without a prior record. */
function unrecordedCommits(rows: readonly TrailRow[], tokens: readonly TokenState[]): string[] {
  const byId = new Map(rows.map((row) => [row.id, row]));
  return tokens.flatMap((token) =>
    token.commits.flatMap((commit) => {
      const what = `${commit.operation} of ${token.id}`;
      const row = byId.get(commit.event_id ?? '');
      if (row === undefined) return [`${what} was committed without a row (event ${commit.event_id})`];
      if (row.occurred_at > Date.parse(commit.at)) return [`${what} was committed before its row ${row.id}`];
      return [];
    }),
  );
}

/** Promise 10: nothing stays unsettled. */
function openAttempts(rows: readonly TrailRow[]): string[] {
  return rows.filter((row) => row.status === 'attempted').map((row) => `${row.action} ${row.id} is still attempted`);
}

/** Promise 3: a token that lives was handed out, by one create that says so. */
function unownedLiveTokens(rows: readonly TrailRow[], tokens: readonly TokenState[]): string[] {
  const creates = rows.filter(isMint);
  return tokens
    .filter((token) => !token.is_revoked)
    .flatMap((token) => {
      // What a list showed says so in its code.
      const successes = creates.filter(
        (row) => row.token_id === token.id && row.status === 'success' && row.error_code === null,
      );
      const mintedBy = token.commits.find((commit) => commit.operation === 'create')?.event_id;
      const failed = creates.some((row) => row.id === mintedBy && row.status === 'failure');
      return [
        ...(successes.length === 1 ? [] : [`live token ${token.id} has ${successes.length} successful creates`]),
        ...(failed ? [`live token ${token.id} was minted by a failed create`] : []),
      ];
    });
}

/** The answer of a create given again has a row of its own, beside that of the create. */
const isMint = ({ action, outcome }: TrailRow): boolean =>
  action === CREATE && outcome?.includes('"idempotent_of"') !== true;

/**
 * What a rotation promises, once all is settled and every overlap is over: the old token has one successor or none. If it has one, the
 * successor alone lives and both say so; if it has none, the old token is as it was.
 *
 * @param rotations of tokens that nothing but these rotations was to end.
 * @returns the violations, in words; none where all is well.
 */
export function rotationViolations(
  rotations: readonly Rotation[],
  {
    rows,
    tokens,
    orders,
    inventory,
  }: Pick<Aftermath, 'rows' | 'tokens' | 'orders'> & { readonly inventory: readonly InventoryRow[] },
): string[] {
  const isDead = new Map(tokens.map((token) => [token.id, token.is_revoked]));
  const known = new Map(inventory.map((row) => [row.token_id, row]));
  const isOwned = (tokenId: string): boolean => typeof known.get(tokenId)?.owner_subject === 'string';
  const successes = rows.filter((row) => isMint(row) && row.status === 'success' && row.error_code === null);
  const wasRevoked = (tokenId: string): boolean =>
    rows.some((row) => row.action === REVOKE && row.token_id === tokenId);
  return rotations.flatMap(({ oldId, handedOut }) => {
    const successors = successes.flatMap((row) => (replacedBy(row) === oldId ? [row.token_id ?? ''] : []));
    const [successor] = successors;
    const unrecorded = [...handedOut].filter((id) => !successors.includes(id));
    const common = [
      ...unrecorded.map((id) => `the secret of ${id} was handed out for ${oldId} without a successful row`),
      ...[oldId, ...successors]
        .filter((id) => isDead.get(id) === false && !isOwned(id))
        .map((id) => `live token ${id} has no owner`),
    ];
    if (successor === undefined) {
      return [
        ...common,
        ...(isDead.get(oldId) === false ? [] : [`token ${oldId} is dead, though no rotation of it succeeded`]),
        ...(orders.some(({ token_id }) => token_id === oldId)
          ? [`token ${oldId} was ordered to go, though no rotation of it succeeded`]
          : []),
      ];
    }
    const isSaid = known.get(oldId)?.replaced_by === successor && known.get(successor)?.replaces === oldId;
    return [
      ...common,
      ...(successors.length === 1 ? [] : [`token ${oldId} has ${successors.length} successors`]),
      ...(isDead.get(oldId) === true ? [] : [`token ${oldId} lives, though ${successor} has its place`]),
      ...(isDead.get(successor) === true && !wasRevoked(successor)
        ? [`token ${successor} has the place of ${oldId}, and is dead`]
        : []),
      ...(isSaid ? [] : [`the inventory does not say that ${successor} has the place of ${oldId}`]),
    ];
  });
}

/**
 * Promise 6, once all is settled: an accepted webhook took effect exactly once.
 *
 * @param leaks the tokens that webhooks named, of which each was accepted at last.
 * @returns the violations, in words; none where all is well.
 */
export function webhookViolations(leaks: readonly Leak[], { rows, tokens, deliveries, orders }: Aftermath): string[] {
  const isRevoked = new Map(tokens.map((token) => [token.id, token.is_revoked]));
  return [
    ...leaks.flatMap(({ webhookId, tokenId }) => {
      const accepted = deliveries.filter((delivery) => delivery.sender_id === webhookId).length;
      const revoked = rows.filter(
        (row) =>
          row.action === REVOKE && row.actor_type === 'webhook' && row.token_id === tokenId && row.status === 'success',
      ).length;
      return [
        ...(isRevoked.get(tokenId) === true ? [] : [`leaked token ${tokenId} is not revoked`]),
        ...(accepted === 1 ? [] : [`webhook ${webhookId} is ${accepted} deliveries`]),
        ...(revoked === 1 ? [] : [`leaked token ${tokenId} has ${revoked} successful revocations by webhook`]),
      ];
    }),
    ...orders
      .filter(({ state }) => !OVER.includes(state))
      .map(({ id, token_id, state }) => `order ${id} for ${token_id} is still ${state}`),
  ];
}

/** `scheduled`: its time has not come. `retried`: another order stands in for it. `lifted`: somebody resumed what it had suspended. */
const OVER: readonly string[] = ['scheduled', 'confirmed', 'retried', 'lifted'];

/**
 * What a revocation promises, whatever PipeOps does or says: every token of somebody who was offboarded is dead or its order is
 * open, and every `confirmed` is true at PipeOps.
 *
 * @param leavers who was offboarded, each by a webhook that was accepted at last.
 * @returns the violations, in words; none where all is well.
 */
export function revocationViolations(
  leavers: readonly Leaver[],
  { tokens, deliveries, orders }: Pick<Aftermath, 'tokens' | 'deliveries' | 'orders'>,
): string[] {
  const byId = new Map(tokens.map((token) => [token.id, token]));
  const isDead = (tokenId: string): boolean => byId.get(tokenId)?.is_revoked === true;
  return [
    ...leavers.flatMap(({ webhookId, subject, tokenIds }) => {
      const accepted = deliveries.filter((delivery) => delivery.sender_id === webhookId).length;
      const left = tokenIds.filter(
        (tokenId) => !isDead(tokenId) && !orders.some((order) => order.token_id === tokenId && order.state === 'open'),
      );
      return [
        ...(accepted === 1 ? [] : [`the offboarding of ${subject} is ${accepted} deliveries`]),
        ...left.map((tokenId) => `token ${tokenId} of ${subject}, who was offboarded, lives and nobody revokes it`),
      ];
    }),
    ...orders.flatMap(({ id, token_id: tokenId, mode, state }) => {
      if (state !== 'confirmed') return [];
      const isSo = isDead(tokenId) || (mode === 'suspend' && byId.get(tokenId)?.is_active === false);
      return isSo ? [] : [`order ${id} (${mode}) of token ${tokenId} is confirmed, and is not so at PipeOps`];
    }),
  ];
}

/** What a service left behind. */
export interface Aftermath {
  readonly rows: readonly TrailRow[];
  readonly tokens: readonly TokenState[];
  readonly deliveries: readonly DeliveryRow[];
  readonly orders: readonly OrderRow[];
}
