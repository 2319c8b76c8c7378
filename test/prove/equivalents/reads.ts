import type { AcceptedOf } from './accepted.ts';

/** Survivors of src/reads that are accepted. */
export const reads: AcceptedOf = {
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
      'const all = look === null ? (rows === null ? [] : rowsOf(rows)) : rowsOf(look);',
      'const all = look === null ? (rowsOf(rows)) : rowsOf(look);',
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
  'src/reads/list.ts': [
    [
      'return row === undefined ? { tokenId, workspaceUuid, owner: null, suspendedBy: [] } : knownToken({ ...row, workspace_uuid: workspaceUuid });',
      'return knownToken({ ...row, workspace_uuid: workspaceUuid });',
      'A row that is not there names an owner whom no caller is, as none does.',
    ],
  ],
  'src/reads/present.ts': [
    [
      'tokens.map(endMsOf).reduce((next, endMs) => (endMs > nowMs && endMs < next ? endMs : next), Infinity);',
      'tokens.map(endMsOf).reduce((next, endMs) => (endMs > nowMs && endMs <= next ? endMs : next), Infinity);',
      'Of two equal ends either is the next.',
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
  'src/reads/statements.ts': [
    [
      'where u.listed_at > ${NOW} - ${sql.raw(String(WORKSPACE_IN_USE_MS))} and u.listed_at is not null',
      'where u.listed_at > ${NOW} - ${sql.raw(String(WORKSPACE_IN_USE_MS))}',
      'SQLite concludes this from the comparison: EXPLAIN QUERY PLAN is the same without it. It is said all the same, since a run once read the whole trail.',
    ],
    [
      "where a.read_key = e.value ->> 'key' and a.read_key is not null and a.closed_at is null)) as e`;",
      "where a.read_key = e.value ->> 'key' and a.closed_at is null)) as e`;",
      'SQLite concludes this from the comparison: EXPLAIN QUERY PLAN is the same without it. It is said all the same, since a run once read the whole trail.',
    ],
  ],
};
