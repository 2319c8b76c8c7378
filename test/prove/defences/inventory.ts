import type { Defence } from '../defence.ts';

const JUDGED = { file: 'src/inventory/looks.ts', test: ['test/inventory/looks.test.ts'] };
const RECORDED = ['test/inventory/recording.test.ts'];
const DRIFT = ['test/inventory/drift.test.ts'];
const REAPPEARANCE = { file: 'src/inventory/reappearance.ts', test: DRIFT };
const ENDS = { file: 'src/inventory/ends.ts', test: RECORDED };

/** What keeps a lie of PipeOps from becoming a fact, and a revoked token from living on. */
export const inventoryDefences: readonly Defence[] = [
  {
    file: 'src/inventory/absence.ts',
    test: ['test/inventory/absence.test.ts'],
    name: 'absence: one proof is an observation',
    find: "if (unseenAtMs === null || begunAtMs - unseenAtMs < ABSENCE_GAP_MS) return 'unseen';",
    replace: "if (unseenAtMs !== null && begunAtMs - unseenAtMs < ABSENCE_GAP_MS) return 'unseen';",
  },
  {
    ...JUDGED,
    name: 'looks: an incomplete list proves no absence',
    find: '!list.complete || isMassAbsence(rows, listed, begunAtMs)',
    replace: 'isMassAbsence(rows, listed, begunAtMs)',
  },
  {
    ...JUDGED,
    name: 'looks: a list that lacks most tokens proves nothing',
    find: 'lacking * 2 > expected.length',
    replace: 'false',
  },
  {
    ...JUDGED,
    name: 'looks: a token that lags is no contradiction',
    find: 'row.revoked_at + CONTRADICTION_AFTER_MS <= begunAtMs',
    replace: 'row.revoked_at <= begunAtMs',
  },
  {
    ...JUDGED,
    name: 'looks: an older list shows nothing that a newer one missed',
    find: 'row.unseen_at !== null && refutes(begunAtMs, row.unseen_at))',
    replace: 'row.unseen_at !== null)',
  },
  {
    ...JUDGED,
    name: 'looks: a proof is believed once D1 has said what came of it',
    find: "return after !== null && after !== undefined && isProvenEnd(after) ? 'gone' : 'unseen';",
    replace: "return after === null ? 'unseen' : 'unseen';",
    test: RECORDED,
  },
  {
    ...ENDS,
    name: 'looks: the rule is asked again where it is written down',
    find: "sql`(ended_by is null or ended_by = 'listed') and unseen_at <= ${begunAtMs - ABSENCE_GAP_MS}`",
    replace: "sql`(ended_by is null or ended_by = 'listed') and ${begunAtMs} > ${ABSENCE_GAP_MS}`",
  },
  {
    ...ENDS,
    name: 'looks: the first list that missed a token counts',
    find: "unseen_at is null and (ended_by is null or ended_by = 'listed')`",
    replace: "(ended_by is null or ended_by = 'listed')`",
  },
  {
    ...ENDS,
    name: 'looks: an older list does not refute an absence',
    find: ' and (unseen_at <= ${begunAtMs} or unseen_at > ${begunAtMs + ABSENCE_GAP_MS})`',
    replace: ' and ${begunAtMs} > 0`',
  },
  {
    ...ENDS,
    name: 'drift: a revoke of ours explains an end',
    find: 'where ${isNews} and not ${isExplained(workspaceUuid)}`',
    replace: 'where ${isNews}`',
    test: DRIFT,
  },
  {
    ...REAPPEARANCE,
    name: 'reappearance: only the end that was judged is undone',
    find: "and e.value ->> 'revoked_at' = tokens.revoked_at and e.value ->> 'ended_by' is tokens.ended_by)`",
    replace: ')`',
    test: RECORDED,
  },
  {
    ...REAPPEARANCE,
    name: 'reappearance: what was ordered is opened again',
    find: 'reopenOrdersOf(database, workspaceUuid, idsWhere(sql`true`), nowMs),',
    replace: 'reopenOrdersOf(database, workspaceUuid, idsWhere(sql`false`), nowMs),',
  },
  {
    ...REAPPEARANCE,
    name: 'reappearance: the token of a leaver is ordered',
    find: "sql`(${isAskedFor(workspaceUuid)} or ${isBlockedIn(workspaceUuid, 'revoke')})`",
    replace: 'isAskedFor(workspaceUuid)',
  },
  {
    ...REAPPEARANCE,
    name: 'reappearance: a token whose DELETE was asked for is ordered',
    find: "sql`(${isAskedFor(workspaceUuid)} or ${isBlockedIn(workspaceUuid, 'revoke')})`",
    replace: "isBlockedIn(workspaceUuid, 'revoke')",
  },
  {
    ...REAPPEARANCE,
    name: 'reappearance: a suspended token contradicts nothing',
    find: "${hasOrder(sql`o.mode = 'revoke' and o.state in ('acknowledged', 'confirmed')`)}",
    replace: "${hasOrder(sql`o.state in ('acknowledged', 'confirmed')`)}",
  },
  {
    ...REAPPEARANCE,
    name: 'reappearance: what is inactive is suspended already',
    find: "sql`e.value ->> 'is_active' is not 0 and not",
    replace: 'sql`not',
  },
  {
    file: 'src/inventory/orders.ts',
    test: DRIFT,
    name: 'contradiction: one row a token and day',
    find: "and today.error_code = 'revocation_contradicted' and",
    replace: "and today.error_code = 'nothing' and",
  },
  {
    file: 'src/inventory/reappearance.ts',
    test: DRIFT,
    name: 'drift: the token of an open create did not appear',
    find: 'and not ${isHeldMarker(workspaceUuid)}`',
    replace: '`',
  },
  {
    file: 'src/inventory/reappearance.ts',
    test: DRIFT,
    name: 'drift: what lags behind a revoke is adopted as ended',
    find: 'revoked_at: acknowledgedAt(workspaceUuid),',
    replace: 'revoked_at: null,',
  },
  {
    file: 'src/inventory/inventory.ts',
    test: DRIFT,
    name: 'create: a token that was adopted meanwhile is taken over',
    find: 'setWhere: isNull(tokens.owner_issuer),',
    replace: 'setWhere: sql`false`,',
  },
  {
    file: 'src/reads/present.ts',
    test: DRIFT,
    name: 'answer: a name that merely looks like one of ours is shown whole',
    find: 'return markerOf(token.name) === null ? token : { ...token, isNameWhole: true };',
    replace: 'return token;',
  },
  {
    file: 'src/tokens/update.ts',
    test: DRIFT,
    name: 'rename: only a marker that a row of ours holds is sent again',
    find: 'await heldMarkerOf(database, context, workspaceUuid, found.value.marker)',
    replace: 'found.value.marker',
  },
];
