import { sql } from 'drizzle-orm';
import { STATUS_WORKSPACES_MAX_COUNT } from '../config/limits.ts';
import type { Database, RowsOf } from '../db/database.ts';
import { auditEvents, workspaces } from '../db/schema.ts';
import { canonicalWorkspace } from '../db/workspace-spelling.ts';
import { rfc3339OrNull } from '../kit/time.ts';
import type { ListState } from '../vocabulary.ts';

/** A state of lists, how many workspaces are in it, and what waits in them. */
export type ListStateRow = RowsOf<ReturnType<typeof selectListStates>>[number];

const STATE = sql.raw('s.state');
const OF_ATTEMPT = canonicalWorkspace('audit_events.workspace_uuid');

/** The query for the states that the last lists of workspaces are in, a row for each. It reads the workspaces and the open attempts. */
export function selectListStates({ build }: Pick<Database, 'build'>) {
  const perWorkspace = sql`select ${workspaces.workspace_uuid} as workspace_uuid, ${workspaces.list_state} as state,
      ${workspaces.list_state_at} as since, coalesce(o.creates, 0) as creates,
      row_number() over (partition by ${workspaces.list_state} order by ${workspaces.list_state_at}) as place
    from ${workspaces} left join (
      select ${OF_ATTEMPT} as workspace_uuid, count(*) as creates from ${auditEvents}
      where ${auditEvents.status} = 'attempted' and ${auditEvents.action} = 'service_account_token.create'
      group by ${OF_ATTEMPT}
    ) as o on o.workspace_uuid = ${workspaces.workspace_uuid}
    where ${workspaces.list_state} is not null`;
  return build
    .select({
      state: sql<ListState>`${STATE}`.as('state'),
      workspaces: sql<number>`count(*)`.as('workspaces'),
      open_creates: sql<number>`sum(s.creates)`.as('open_creates'),
      since: sql<number>`min(s.since)`.as('since'),
      longest:
        sql<string>`json_group_array(s.workspace_uuid) filter (where s.place <= ${STATUS_WORKSPACES_MAX_COUNT})`.as(
          'longest',
        ),
    })
    .from(sql`(${perWorkspace}) as s`)
    .groupBy(STATE);
}

/** What somebody who runs this service can do about each state. */
const ADVICE: Readonly<Record<Exclude<ListState, 'complete'>, string>> = {
  partial:
    'PipeOps counts more tokens in these workspaces than it shows, or shows some that cannot be read. An id that is not shown ' +
    'is asked for by itself, so revocations go on; a create whose outcome is unknown waits for a complete list until it is ' +
    'given up. Look in PipeOps’ own console for tokens that nobody needs and revoke them, so that one list shows all; or ask ' +
    'PipeOps how its list is paged.',
  unproven:
    'PipeOps does not say how many tokens these workspaces have, and ignores pages. What is not shown may exist all the same: ' +
    'an id is asked for by itself, and a create whose outcome is unknown waits until it is given up. Compare the list with ' +
    'PipeOps’ own console, and settle open creates by hand.',
  unavailable:
    'PipeOps answers 404 for these workspaces: they were deleted, or the admin credential has no access to them any more. ' +
    'Nothing is taken for gone; orders there are tried for 72 hours and end as workspace_unavailable. Give the credential ' +
    'access again, or revoke what is left there in PipeOps’ own console.',
};

/** The states of the workspaces’ lists as `/status` shows them. A state that needs somebody to look into it says what to do. */
export function presentListStates(rows: readonly ListStateRow[]) {
  const known = new Map(rows.map((row) => [row.state, row]));
  const counted = (state: ListState) => ({
    workspaces: known.get(state)?.workspaces ?? 0,
    open_creates: known.get(state)?.open_creates ?? 0,
  });
  const explained = (state: Exclude<ListState, 'complete'>) => {
    const row = known.get(state);
    const longest: readonly string[] = row === undefined ? [] : JSON.parse(row.longest);
    return {
      ...counted(state),
      since: rfc3339OrNull(row?.since ?? null),
      workspace_uuids: longest,
      what_to_do: row === undefined ? null : ADVICE[state],
    };
  };
  return {
    complete: counted('complete'),
    partial: explained('partial'),
    unproven: explained('unproven'),
    unavailable: explained('unavailable'),
  };
}
