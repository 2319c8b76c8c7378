import type { Defence } from '../defence.ts';

const LIMIT = ['test/tokens/token-limit.test.ts'];
const COUNTED = ['test/inventory/token-counts.test.ts'];
const COSTS = ['test/tokens/token-limit-costs.test.ts'];
const MIGRATION = 'drizzle/0008_token_counts.sql';
const COUNTS = { file: 'src/inventory/token-counts.ts', test: [...COUNTED, ...LIMIT, ...COSTS] };
const TRIGGERS = { file: MIGRATION, test: [...COUNTED, ...LIMIT] };

/** What keeps one owner from making a workspace's list unreadable. */
export const tokenCountDefences: readonly Defence[] = [
  {
    ...COUNTS,
    name: 'token limit: a create reserves only below the limit',
    find: 'where ${held} < ${limit.here} and not',
    replace: 'where not',
  },
  {
    ...COUNTS,
    name: 'token limit: a repeat reserves nothing',
    find: ' and not ${isAnothers}',
    replace: '',
  },
  {
    ...COUNTS,
    name: 'token limit: creates under way count',
    find: 'const held = sql`${liveOf(owner)} + ${openOf(owner)}`;',
    replace: 'const held = sql`${liveOf(owner)}`;',
  },
  {
    ...COUNTS,
    name: 'token limit: what has expired is counted off before anybody is refused',
    find: 'or (${heldByRow} >= ${limit.here} and ${hasExpired})',
    replace: '',
  },
  {
    ...COUNTS,
    name: 'token limit: a count of a clock that ran ahead is put right',
    find: 'counted_at > ${nowMs} or ',
    replace: '',
  },
  {
    ...COUNTS,
    name: 'token limit: at the limit not each refusal counts all tokens',
    find: ' and ${hasExpired})',
    replace: ')',
  },
  {
    ...COUNTS,
    name: 'token limit: nothing is minted that is not reserved',
    find: 'return row.reserved === 1 || !isWritten ? row.held : Infinity;',
    replace: 'return 0;',
  },
  {
    name: 'token limit: a repeat is answered at the limit',
    file: 'src/tokens/mutation.ts',
    test: LIMIT,
    find: 'holder === null ? heldTokens : 0',
    replace: 'heldTokens',
  },
  {
    name: 'token limit: a create that policy refuses reserves nothing',
    file: 'src/tokens/create.ts',
    test: LIMIT,
    find: 'here === null ? null : { owner: caller, limit: { here,',
    replace: '{ owner: caller, limit: { here: here ?? 3,',
  },
  {
    name: 'token limit: a role at its limit allows no create',
    file: 'src/policy/decide.ts',
    test: ['test/policy/create.test.ts'],
    find: 'request.heldTokens < role.maxTokens ? ',
    replace: 'request.heldTokens <= role.maxTokens ? ',
  },
  {
    ...TRIGGERS,
    name: 'token counts: what had expired when it was counted is not taken off when it ends',
    find: 'AND OLD.revoked_at IS NULL AND (OLD.expires_at IS NULL OR OLD.expires_at > counted_at);',
    replace: 'AND OLD.revoked_at IS NULL;',
  },
  {
    ...TRIGGERS,
    name: 'token counts: an end is seen, and an end undone',
    find: 'WHEN (NEW.revoked_at IS NULL) IS NOT (OLD.revoked_at IS NULL) OR ',
    replace: 'WHEN ',
  },
  {
    ...TRIGGERS,
    name: 'token counts: a token that changes hands is counted off its owner',
    find: 'OR NEW.owner_issuer IS NOT OLD.owner_issuer OR NEW.owner_subject IS NOT OLD.owner_subject',
    replace: '',
  },
  {
    ...TRIGGERS,
    name: 'token counts: a row that goes is counted off',
    find: 'CREATE TRIGGER tokens_counted_out AFTER DELETE ON tokens WHEN OLD.revoked_at IS NULL',
    replace: 'CREATE TRIGGER tokens_counted_out AFTER DELETE ON tokens WHEN false',
  },
  {
    ...TRIGGERS,
    name: 'token counts: a create under way is given back when its row is settled',
    find: "WHEN OLD.status = 'attempted' AND NEW.status IS NOT 'attempted' AND OLD.action = 'service_account_token.create'",
    replace: 'WHEN false',
  },
];
