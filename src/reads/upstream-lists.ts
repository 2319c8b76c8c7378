import { sql } from 'drizzle-orm';
import { UPSTREAM_TIMEOUT_MS } from '../config/limits.ts';
import { compiled } from '../db/sql.ts';
import type { Database, Query } from '../db/database.ts';
import { workspaces } from '../db/schema.ts';
import type { UpstreamFailure } from '../failures.ts';
import { waitFor } from '../kit/deadline.ts';
import { err, ok, type Result } from '../kit/result.ts';
import type { Runtime } from '../kit/runtime.ts';
import type { Call, PipeOps, TokenList } from '../pipeops/types.ts';
import type { ListState } from '../vocabulary.ts';
import type { DatedList } from './snapshot.ts';

/** A list that was asked for now. */
export interface Fetched {
  readonly dated: DatedList;
  /** Whether another read of this isolate asked for it. */
  readonly isShared: boolean;
}

/** Asks PipeOps for lists, once for all reads of this isolate that want one of the same generation. */
export interface ListSource {
  /**
   * The list that another read of this isolate is asking for, if that call is of this very generation, since an earlier one may
   * lack what has changed since, and was begun at `minBegunMs` or later. Null: there is none.
   */
  join(workspaceUuid: string, generation: number, minBegunMs: number): Promise<Result<Fetched, UpstreamFailure>> | null;
  /** @param generation the one that D1 just named. */
  ask(workspaceUuid: string, generation: number, call: Call): Promise<Result<Fetched, UpstreamFailure>>;
}

interface UnderWay {
  readonly begunAtMs: number;
  readonly answer: Promise<Result<DatedList, UpstreamFailure>>;
}

export function createListSource(
  pipeops: Pick<PipeOps, 'list'>,
  runtime: Pick<Runtime, 'now' | 'after' | 'background'>,
): ListSource {
  const underWay = new Map<string, UnderWay>();
  const nameOf = (workspaceUuid: string, generation: number): string => `${workspaceUuid} ${generation}`;

  return {
    join: (workspaceUuid, generation, minBegunMs) => {
      const joined = underWay.get(nameOf(workspaceUuid, generation));
      // One that is older than its deadline died with the request that began it.
      const isAlive = joined !== undefined && runtime.now() - joined.begunAtMs <= UPSTREAM_TIMEOUT_MS;
      if (!isAlive || joined.begunAtMs < minBegunMs) return null;
      return (async () => {
        const outcome = await waitFor(runtime, UPSTREAM_TIMEOUT_MS, joined.answer);
        if (!outcome.ok) return err({ kind: 'upstream_timeout' });
        return outcome.value.ok ? ok({ dated: outcome.value.value, isShared: true }) : outcome.value;
      })();
    },

    ask: async (workspaceUuid, generation, call) => {
      const name = nameOf(workspaceUuid, generation);
      const begunAtMs = runtime.now();
      const answer = (async (): Promise<Result<DatedList, UpstreamFailure>> => {
        try {
          const listed = await pipeops.list(workspaceUuid, call);
          return listed.ok ? ok({ list: listed.value.data, generation, begunAtMs }) : listed;
        } finally {
          if (underWay.get(name)?.begunAtMs === begunAtMs) underWay.delete(name);
        }
      })();
      // Others wait for it too, so it must not end with the request that began it.
      runtime.background(answer);
      underWay.set(name, { begunAtMs, answer });
      const listed = await answer;
      return listed.ok ? ok({ dated: listed.value, isShared: false }) : listed;
    },
  };
}

/** What a workspace's list turned out to be good for, and when it was asked for. */
export interface DatedListState {
  readonly state: ListState;
  /** Milliseconds since the epoch, before it was asked for. */
  readonly atMs: number;
}

/** PipeOps' 404 for a workspace, as the client tells it. */
const isUnavailable = (failure: UpstreamFailure): boolean =>
  failure.kind === 'upstream_forbidden' && failure.status === 404;

/** Null where PipeOps' answer says nothing of the list: that it is down says nothing of what it would show. */
export function listStateOf(
  listed:
    | { readonly ok: true; readonly value: Pick<TokenList, 'state'> }
    | { readonly ok: false; readonly error: UpstreamFailure },
): ListState | null {
  if (listed.ok) return listed.value.state;
  return isUnavailable(listed.error) ? 'unavailable' : null;
}

/**
 * Keeps what a workspace's list is good for, and since when, for those who run this service. To be attached to a batch that is
 * sent anyway; it writes only where that changes, and never what is older than what is kept.
 */
export const keepListState = (database: Database, workspaceUuid: string, { state, atMs }: DatedListState): Query =>
  KEEP_LIST_STATE(database, { workspaceUuid, state, atMs });

const KEEP_LIST_STATE = compiled(({ build }) =>
  build
    .insert(workspaces)
    .values({
      workspace_uuid: sql.placeholder('workspaceUuid'),
      generation: 0,
      lease_until: 0,
      list_state: sql.placeholder('state'),
      list_state_at: sql.placeholder('atMs'),
    })
    .onConflictDoUpdate({
      target: workspaces.workspace_uuid,
      set: { list_state: sql`excluded.list_state`, list_state_at: sql`excluded.list_state_at` },
      setWhere: sql`${workspaces.list_state} is not excluded.list_state
        and coalesce(${workspaces.list_state_at}, 0) <= excluded.list_state_at`,
    }),
);
