/** A mutant that no test can notice, or that none should, and why. Both texts as `npm run prove` prints them. */
export interface Equivalent {
  readonly file: string;
  readonly before: string;
  readonly after: string;
  readonly reason: string;
}

type Accepted = readonly [before: string, after: string, reason: string];

/** Survivors that are accepted, by their file. A test says which of them no longer is a mutant of the source. */
const ACCEPTED: Readonly<Record<string, readonly Accepted[]>> = {
  'src/policy/decide.ts': [
    [
      "return isInSight ? ok({ ...request, token }) : err({ kind: 'token_not_found', reason: 'not_readable' });",
      "return isInSight ? ok({ ...request }) : err({ kind: 'token_not_found', reason: 'not_readable' });",
      'The request holds this very token: only the compiler needs it named.',
    ],
  ],
  'src/policy/reach.ts': [
    [
      "'permission',",
      '',
      'It is what the search begins with, and lower than all others with or without a rank of its own.',
    ],
    [
      "return reasons.reduce((best, reason) => (rank(reason) > rank(best) ? reason : best), 'permission');",
      "return reasons.reduce((best, reason) => (rank(reason) >= rank(best) ? reason : best), 'permission');",
      'Two reasons of one rank are one reason.',
    ],
  ],
  'src/policy/bindings.ts': [
    [
      'return text.match(SEPARATORS)?.length ?? 0;',
      'return text.match(SEPARATORS)?.length;',
      'Counts are only compared with each other, and undefined stands for none as well as 0 does.',
    ],
  ],
  'src/policy/shortfall.ts': [
    [
      "const named = 'namedScopes' in request ? (request.namedScopes ?? null) : null;",
      'const named = request.namedScopes ?? null;',
      'What is not there reads as undefined: only the compiler needs the question.',
    ],
    [
      "const named = 'namedScopes' in request ? (request.namedScopes ?? null) : null;",
      "const named = 'namedScopes' in request ? (request.namedScopes) : null;",
      'A field that is there is not undefined: only the compiler needs the fallback.',
    ],
  ],
  'src/reads/batch.ts': [
    [
      'const generation = said?.generation ?? 0;',
      'const generation = said?.generation;',
      'D1 answers every question of a batch with a row: only the compiler needs the fallback.',
    ],
    [
      'const looks = new Map(inventories.map(({ list, look }) => [list, look === null ? null : rowsOf(look)]));',
      'const looks = new Map(inventories.map(({ list, look }) => [list, rowsOf(look)]));',
      'A query that was not sent gives no rows, and a read that does not look takes none: only the compiler asks.',
    ],
    [
      'tokenId === null ? undefined : rows.find((row) => row.workspace_uuid === workspaceUuid && row.token_id === tokenId),',
      'rows.find((row) => row.workspace_uuid === workspaceUuid && row.token_id === tokenId),',
      'No row has the id null: only the compiler asks.',
    ],
    [
      'snapshot: inventoryOf === null ? null : snapshotOf(dependencies.known, inventoryOf, snapshots, generation),',
      'snapshot: snapshotOf(dependencies.known, inventoryOf, snapshots, generation),',
      'No inventory is known or read of no list: only the compiler asks.',
    ],
    [
      'lookRows: isLook && inventoryOf !== null ? (looks.get(inventoryOf) ?? null) : null,',
      'lookRows: isLook ? (looks.get(inventoryOf) ?? null) : null,',
      'A look is always at a list: only the compiler asks.',
    ],
    [
      'lookRows: isLook && inventoryOf !== null ? (looks.get(inventoryOf) ?? null) : null,',
      'lookRows: isLook && inventoryOf !== null ? (looks.get(inventoryOf)) : null,',
      'A list that is looked at has its rows: only the compiler needs the fallback.',
    ],
    [
      'if (look === null) return withInventory(list, rows === null ? [] : rowsOf(rows));',
      'if (look === null) return withInventory(list, rowsOf(rows));',
      'A query that was not sent gives no rows, and one of the two was: only the compiler asks.',
    ],
    [
      'const snapshot = read.get(list) ?? null;',
      'const snapshot = read.get(list);',
      'A list whose inventory is not known was asked about: only the compiler needs the fallback.',
    ],
    [
      'if (snapshot !== null && list.generation === generation) known.keep(list, snapshot);',
      'if (list.generation === generation) known.keep(list, snapshot);',
      'A list whose inventory is not known was asked about: only the compiler asks.',
    ],
    [
      "key === null ? (trip.record?.row.id ?? '') : `${key} ${trip.generation}`;",
      'key === null ? (trip.record?.row.id) : `${key} ${trip.generation}`;',
      'Nothing is kept under undefined, as nothing is under the empty name.',
    ],
    [
      '...(store !== undefined && body !== null ? [storeList(database, { workspace, ...store, body })] : []),',
      '...(body !== null ? [storeList(database, { workspace, ...store, body })] : []),',
      'What has a body is to be stored: only the compiler asks.',
    ],
  ],
  'src/reads/list.ts': [
    [
      'return row === undefined ? { tokenId, workspaceUuid, owner: null, suspendedBy: [] } : knownToken({ ...row, workspace_uuid: workspaceUuid });',
      'return knownToken({ ...row, workspace_uuid: workspaceUuid });',
      'A row that is not there names an owner whom no caller is, as none does.',
    ],
  ],
  'src/reads/read.ts': [
    ['notAsking: null,', '', 'The first step of a read says why PipeOps is not asked, before anybody wants to know.'],
    ['leavings: {},', '', 'What is not there leaves nothing: only the compiler needs it named.'],
    [
      "reading.token = step.kind === 'search' && operation.subject.tokenId !== null ? { row: said.token } : null;",
      "reading.token = step.kind === 'search' ? { row: said.token } : null;",
      'A list is judged without a token.',
    ],
    [
      'if (isDecided(step) && eventId !== null) {',
      'if (eventId !== null) {',
      'Only what is decided is recorded, and so has the id of a row: only the compiler asks.',
    ],
    [
      'return isLast && isDecided(step) ? { ...step, generation: null } : step;',
      'return isLast ? { ...step, generation: null } : step;',
      'A step that is not decided has no generation, and nobody reads one.',
    ],
    [
      "if (judged.kind === 'look_up') return { kind: 'look_up', basis };",
      '',
      'A look-up has a basis, and nobody reads the rest: only the compiler wants it apart.',
    ],
    [
      "return judged.kind === 'refuse' ? { ...judged, ...decision } : { ...judged, ...decision, status: basis.from === 'pipeops' ? 200 : null };",
      "return { ...judged, ...decision, status: basis.from === 'pipeops' ? 200 : null };",
      'Nobody reads the status of a refusal.',
    ],
    [
      'const holder = lease?.holder ?? null;',
      'const holder = lease?.holder;',
      'A lease that is not there has no holder to end it: only the compiler needs null.',
    ],
  ],
  'src/revocation/orders/rules.ts': [
    [
      'const nextAtMs = Math.max(...moved.map(({ move }) => move.columns.next_at ?? 0));',
      'const nextAtMs = Math.max(...moved.map(({ move }) => move.columns.next_at));',
      'Math.max takes null for 0: only the compiler needs the fallback.',
    ],
    [
      'if (begunAtMs - (order.acknowledged_at ?? 0) < CONTRADICTION_AFTER_MS) {',
      'if (begunAtMs - (order.acknowledged_at) < CONTRADICTION_AFTER_MS) {',
      'A subtraction takes null for 0: only the compiler needs the fallback.',
    ],
    [
      'tries: order.tries,',
      '',
      'A transition keeps the columns that it is not given: only the compiler wants each of them.',
    ],
    [
      'unseen_at: order.unseen_at,',
      '',
      'A transition keeps the columns that it is not given: only the compiler wants each of them.',
    ],
    [
      'const sinceMs = acknowledgedAtMs ?? 0;',
      'const sinceMs = acknowledgedAtMs;',
      'An addition takes null for 0: only the compiler needs the fallback.',
    ],
    [
      'if (updatedUntilMs === null || begunAtMs >= updatedUntilMs + CONFIRM_AFTER_UPDATE_MS) return null;',
      'if (begunAtMs >= updatedUntilMs + CONFIRM_AFTER_UPDATE_MS) return null;',
      'Null counts as 0, and every look begins later than that: only the compiler asks.',
    ],
    [
      "return move('lookOn', order, { ...next, error_code: order.error_code, tries: triesAfterSuccess(order) });",
      "return move('lookOn', order, { ...next, tries: triesAfterSuccess(order) });",
      'A transition keeps the columns that it is not given: only the compiler wants each of them.',
    ],
  ],
  'src/revocation/orders/states.ts': [
    [
      'return { ...order, ...columns, state: leads[order.state] ?? order.state };',
      'return { ...order, ...columns, state: leads[order.state] };',
      'The type of the order admits only states that the transition leaves.',
    ],
    [
      'const reached = before(name).flatMap((state) => (leads[state] === state ? [] : [leads[state] ?? state]));',
      'const reached = before(name).flatMap((state) => (leads[state] === state ? [] : [leads[state]]));',
      'The states are the keys of this very record.',
    ],
    [
      "return only !== undefined && others.length === 0 ? sql`state = ${literal(only)}` : isIn('state', before(name));",
      "return others.length === 0 ? sql`state = ${literal(only)}` : isIn('state', before(name));",
      'Every transition leaves a state.',
    ],
  ],
  'src/reads/present.ts': [
    [
      'tokens.map(endMsOf).reduce((next, endMs) => (endMs > nowMs && endMs < next ? endMs : next), Infinity);',
      'tokens.map(endMsOf).reduce((next, endMs) => (endMs > nowMs && endMs <= next ? endMs : next), Infinity);',
      'Of two equal ends either is the next.',
    ],
  ],
  'src/reads/group.ts': [
    [
      'return underWay.size > 0 || (pausedAtMs !== null && nowMs - pausedAtMs <= READ_OVERTAKE_MS);',
      'return underWay.size > 0 || (nowMs - pausedAtMs <= READ_OVERTAKE_MS);',
      'Null counts as 0, which is longer ago than that: only the compiler asks.',
    ],
    [
      'if (answers !== null) group.forEach((waiting, index) => waiting.settle(answers[index] ?? unavailable()));',
      'if (answers !== null) group.forEach((waiting, index) => waiting.settle(answers[index]));',
      'A batch answers each of its trips: only the compiler needs the fallback.',
    ],
    ['wanted = null;', '', 'To reach once more what was reached changes nothing.'],
  ],
  'src/reads/caller-calls.ts': [
    [
      'if (sent.size > READ_CALLERS_MAX_COUNT && oldest !== undefined) sent.delete(oldest);',
      'if (sent.size > READ_CALLERS_MAX_COUNT) sent.delete(oldest);',
      'What is too large has a first member: only the compiler asks.',
    ],
  ],
  'src/reads/get.ts': [
    [
      'if (isReachable && listed === undefined) return isProof ? refuse(NOT_THERE) : ASK_ALONE;',
      '',
      'Whoever sees the tokens of others is refused none of them: what is not listed ends alike two lines on.',
    ],
  ],
  'src/trail/reconcile/judgement.ts': [
    [
      '...(tokenId !== undefined && { tokenId }),',
      '...({ tokenId }),',
      'What is undefined is taken for what is not there.',
    ],
    [
      "list.tokens.length === 0 || list.tokens.some(({ name }) => ourMarkers.has(markerOf(name) ?? ''));",
      'list.tokens.length === 0 || list.tokens.some(({ name }) => ourMarkers.has(markerOf(name)));',
      'No marker is undefined, nor empty: only the compiler needs the fallback.',
    ],
    [
      'const set = new Set(Array.isArray(a) ? a : []);',
      'const set = new Set(a);',
      'Scopes that were asked for are stored as a list: only the compiler asks.',
    ],
  ],
  'src/trail/rejections.ts': [
    [
      "issuer: 'issuer' in rejection ? (rejection.issuer ?? null) : null,",
      "issuer: 'issuer' in rejection ? (rejection.issuer) : null,",
      'A rejection that has an issuer names it: only the compiler needs the fallback.',
    ],
    [
      "issuer: 'issuer' in rejection ? (rejection.issuer ?? null) : null,",
      'issuer: rejection.issuer ?? null,',
      'What is not there reads as undefined: only the compiler needs the question.',
    ],
  ],
  'src/trail/event.ts': [
    [
      "...('detail' in failure && failure.detail),",
      '...(failure.detail),',
      'To spread what is undefined adds nothing: only the compiler asks.',
    ],
  ],
  'src/trail/query/filter.ts': [
    [
      "except: named(patterns.filter((pattern) => pattern.startsWith('!')).map((pattern) => pattern.slice(1))),",
      'except: named(patterns.map((pattern) => pattern.slice(1))),',
      'No action and no noun is another one without its first letter.',
    ],
    [
      'const lengthOf = (text: string | null): number => (text === null ? 0 : byteLength(text));',
      'const lengthOf = (text: string | null): number => (byteLength(text));',
      'The two lengths of a name that is not there cancel out, and of no actor nothing is cut.',
    ],
  ],
  'src/trail/query/params.ts': [
    [
      'return by === null || problems.any() ? err(problems.failure()) : ok({ by, filter });',
      'return problems.any() ? err(problems.failure()) : ok({ by, filter });',
      'Where nothing was said of what to count by, that is a problem: only the compiler asks.',
    ],
  ],
  'src/trail/query/follow.ts': [
    [
      'const examinedSeq = isCut ? endSeq - 1 : (reachedSeq ?? ends.newest_seq ?? 0);',
      'const examinedSeq = isCut ? endSeq - 1 : (reachedSeq ?? ends.newest_seq);',
      'Null counts as 0, and the position does not go back: only the compiler needs the fallback.',
    ],
  ],
  'src/trail/query/page.ts': [
    [
      'if (terms.length <= COMPOUND_MAX_TERMS) return sql.join([...terms], sql` union all `);',
      'if (terms.length < COMPOUND_MAX_TERMS) return sql.join([...terms], sql` union all `);',
      'As many terms as SQLite takes may as well stand in two groups.',
    ],
  ],
  'src/trail/query/counts.ts': [
    [
      'return { counts: counts.slice(0, AUDIT_COUNT_MAX_KEYS), isPartial: (rows[0]?.looked ?? 0) > maxRows };',
      'return { counts: counts.slice(0, AUDIT_COUNT_MAX_KEYS), isPartial: (rows[0]?.looked) > maxRows };',
      'Undefined is not greater than anything: only the compiler needs the fallback.',
    ],
  ],
  'src/trail/query/token-life.ts': [
    [
      'if (problems.any() || tokenId === null || workspaceUuid === null) return err(problems.failure());',
      'if (problems.any() || workspaceUuid === null) return err(problems.failure());',
      'What is null has been noted as a problem: only the compiler asks.',
    ],
    [
      'if (problems.any() || tokenId === null || workspaceUuid === null) return err(problems.failure());',
      'if (problems.any() || tokenId === null) return err(problems.failure());',
      'What is null has been noted as a problem: only the compiler asks.',
    ],
    [
      'ok(pageOf(rows, ends, { position, limitRows, latest: false }, nowMs, present));',
      'ok(pageOf(rows, ends, { position, limitRows }, nowMs, present));',
      'What is undefined is not wanted either.',
    ],
  ],
  'src/trail/query/event-by-id.ts': [
    ['tokenId: event?.token_id ?? null,', 'tokenId: event?.token_id,', 'What is undefined is stored as null.'],
  ],
  'src/trail/query/export.ts': [
    [
      'const lastSeq = newest_seq ?? 0;',
      'const lastSeq = newest_seq;',
      'Null counts as 0: only the compiler needs the fallback.',
    ],
  ],
};

export const equivalents: readonly Equivalent[] = Object.entries(ACCEPTED).flatMap(([file, accepted]) =>
  accepted.map(([before, after, reason]) => ({ file, before, after, reason })),
);
