/** A mutant that no test can notice, or that none should, and why. Both texts as `npm run prove` prints them. */
export interface Equivalent {
  readonly file: string;
  readonly before: string;
  readonly after: string;
  readonly reason: string;
}

/** Survivors that are accepted. A test says which of them no longer is a mutant of the source. */
export const equivalents: readonly Equivalent[] = [
  {
    file: 'src/policy/decide.ts',
    before: "return isInSight ? ok({ ...request, token }) : err({ kind: 'token_not_found', reason: 'not_readable' });",
    after: "return isInSight ? ok({ ...request }) : err({ kind: 'token_not_found', reason: 'not_readable' });",
    reason: 'The request holds this very token: only the compiler needs it named.',
  },
  {
    file: 'src/policy/reach.ts',
    before: "'permission',",
    after: '',
    reason: 'It is what the search begins with, and lower than all others with or without a rank of its own.',
  },
  {
    file: 'src/policy/reach.ts',
    before: "return reasons.reduce((best, reason) => (rank(reason) > rank(best) ? reason : best), 'permission');",
    after: "return reasons.reduce((best, reason) => (rank(reason) >= rank(best) ? reason : best), 'permission');",
    reason: 'Two reasons of one rank are one reason.',
  },
  {
    file: 'src/policy/bindings.ts',
    before: 'return text.match(SEPARATORS)?.length ?? 0;',
    after: 'return text.match(SEPARATORS)?.length;',
    reason: 'Counts are only compared with each other, and undefined stands for none as well as 0 does.',
  },
  {
    file: 'src/policy/shortfall.ts',
    before: "const named = 'namedScopes' in request ? (request.namedScopes ?? null) : null;",
    after: 'const named = request.namedScopes ?? null;',
    reason: 'What is not there reads as undefined: only the compiler needs the question.',
  },
  {
    file: 'src/policy/shortfall.ts',
    before: "const named = 'namedScopes' in request ? (request.namedScopes ?? null) : null;",
    after: "const named = 'namedScopes' in request ? (request.namedScopes) : null;",
    reason: 'A field that is there is not undefined: only the compiler needs the fallback.',
  },
  {
    file: 'src/reads/batch.ts',
    before: 'const generation = said?.generation ?? 0;',
    after: 'const generation = said?.generation;',
    reason: 'D1 answers every question of a batch with a row: only the compiler needs the fallback.',
  },
  {
    file: 'src/reads/batch.ts',
    before: 'const looks = new Map(inventories.map(({ list, look }) => [list, look === null ? null : rowsOf(look)]));',
    after: 'const looks = new Map(inventories.map(({ list, look }) => [list, rowsOf(look)]));',
    reason:
      'A query that was not sent gives no rows, and a read that does not look takes none: only the compiler asks.',
  },
  {
    file: 'src/reads/list.ts',
    before:
      'return row === undefined ? { tokenId, workspaceUuid, owner: null, suspendedBy: [] } : knownToken({ ...row, workspace_uuid: workspaceUuid });',
    after: 'return knownToken({ ...row, workspace_uuid: workspaceUuid });',
    reason: 'A row that is not there names an owner whom no caller is, as none does.',
  },
  {
    file: 'src/reads/read.ts',
    before: 'notAsking: null,',
    after: '',
    reason: 'The first step of a read says why PipeOps is not asked, before anybody wants to know.',
  },
  {
    file: 'src/reads/read.ts',
    before: 'leavings: {},',
    after: '',
    reason: 'What is not there leaves nothing: only the compiler needs it named.',
  },
];
