import { sql } from 'drizzle-orm';
import { compiled } from '../db/sql.ts';
import type { Database, Query } from '../db/database.ts';
import { workspaces } from '../db/schema.ts';
import type { UpstreamFailure } from '../failures.ts';
import type { TokenList } from '../pipeops/types.ts';
import type { ListState } from '../vocabulary.ts';

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
