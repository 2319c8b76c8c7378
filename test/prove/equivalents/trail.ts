import type { AcceptedOf } from './accepted.ts';

/** Survivors of src/trail that are accepted. */
export const trail: AcceptedOf = {
  'src/trail/caller-rows.ts': [
    [
      'and m.seq > coalesce((select s.last_seq from audit_time_spans as s where s.size = ${sql.raw(String(SPAN_SIZE))}',
      'and m.seq >= coalesce((select s.last_seq from audit_time_spans as s where s.size = ${sql.raw(String(SPAN_SIZE))}',
      'The last event of that span is from before the minute, so it is not counted either way.',
    ],
    [
      'and s.last_seq > ${AMONG} and s.latest_at < ${beginMs} order by s.last_seq desc limit 1), ${AMONG}, 0)',
      'and s.last_seq >= ${AMONG} and s.latest_at < ${beginMs} order by s.last_seq desc limit 1), ${AMONG}, 0)',
      'Where no span is found the search begins at that same event.',
    ],
  ],
  'src/trail/event.ts': [
    [
      "...('detail' in failure && failure.detail),",
      '...(failure.detail),',
      'To spread what is undefined adds nothing: only the compiler asks.',
    ],
  ],
  'src/trail/late-settlement.ts': [
    [
      'tokenId: row.token_id ?? outcome.tokenId ?? null,',
      'tokenId: row.token_id ?? outcome.tokenId,',
      'What is undefined is stored as null.',
    ],
  ],
  'src/trail/query/counts.ts': [
    [
      'return { counts: counts.slice(0, AUDIT_COUNT_MAX_KEYS), isPartial: (rows[0]?.looked ?? 0) > maxRows };',
      'return { counts: counts.slice(0, AUDIT_COUNT_MAX_KEYS), isPartial: (rows[0]?.looked) > maxRows };',
      'Undefined is not greater than anything: only the compiler needs the fallback.',
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
  'src/trail/query/filter.ts': [
    [
      'return wanted.length <= others.length ? wanted : others;',
      'return wanted.length < others.length ? wanted : others;',
      'Where both lists are equally long, either of them is the shorter one.',
    ],
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
  'src/trail/query/params.ts': [
    [
      'return by === null || problems.any() ? err(problems.failure()) : ok({ by, filter });',
      'return problems.any() ? err(problems.failure()) : ok({ by, filter });',
      'Where nothing was said of what to count by, that is a problem: only the compiler asks.',
    ],
  ],
  'src/trail/query/plan.ts': [
    [
      'condition: or(...branches.map(({ where }) => where)) ?? sql`true`,',
      'condition: or(...branches.map(({ where }) => where)),',
      'Each branch that is looked up has a condition: only the compiler needs the fallback.',
    ],
    [
      "return lookup([{ index, where: and(eq(actor_subject, exact.subject ?? ''), isOfIssuer(exact)) }]);",
      'return lookup([{ index, where: and(eq(actor_subject, exact.subject), isOfIssuer(exact)) }]);',
      'An actor that is looked up has a subject: only the compiler needs the fallback.',
    ],
    [
      '...(actor === null || !isWithoutSubject(actor)',
      '...(!isWithoutSubject(actor)',
      'What is null has no bar in it, so it is no actor without a subject: only the compiler asks.',
    ],
    [
      ': [sql`(${actor_subject} is null and ${isOfIssuer(exactly(actor) ?? NOBODY)})`]),',
      ': [sql`(${actor_subject} is null and ${isOfIssuer(exactly(actor))})`]),',
      'An actor without a subject is named exactly: only the compiler needs the fallback.',
    ],
  ],
  'src/trail/query/token-life.ts': [
    [
      'const found = await getToken(dependencies, context, caller, { ...ref, isNoCache: false }, recordedAs);',
      'const found = await getToken(dependencies, context, caller, { ...ref }, recordedAs);',
      'What is undefined is not wanted either.',
    ],
    [
      '].filter((check) => check !== undefined),',
      '],',
      'Two conditions make one, which is never undefined: only the compiler asks.',
    ],
    [
      '].filter((check) => check !== undefined),',
      '].filter((check) => true),',
      'Two conditions make one, which is never undefined: only the compiler asks.',
    ],
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
  'src/trail/reconcile/carry-out.ts': [
    [
      "workspaceUuid: row.workspace_uuid ?? '',",
      'workspaceUuid: row.workspace_uuid,',
      'An attempt at a token names it and its workspace: only the compiler needs the fallback.',
    ],
    [
      "tokenId: row.token_id ?? '',",
      'tokenId: row.token_id,',
      'An attempt at a token names it and its workspace: only the compiler needs the fallback.',
    ],
    [
      "const ref = { workspaceUuid: row.workspace_uuid ?? '', tokenId };",
      'const ref = { workspaceUuid: row.workspace_uuid, tokenId };',
      'An attempt that is looked into names its workspace: only the compiler needs the fallback.',
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
  'src/trail/reconcile/looks.ts': [
    [
      'return { ...look, isNoProof: true, ourMarkers: new Set(), findings: judgeList([], { ...look, list: NONE }) };',
      'return { ...look, isNoProof: true, ourMarkers: new Set(), findings: judgeList([], { list: NONE }) };',
      'Nothing is found by no rows and no tokens, whenever that was: only the compiler asks.',
    ],
    [
      "const workspaceUuid = row.workspace_uuid ?? '';",
      'const workspaceUuid = row.workspace_uuid;',
      'An attempt that is looked into names its workspace: only the compiler needs the fallback.',
    ],
    [
      "const ourMarkers = new Set(markerRows.map(({ marker }) => marker ?? ''));",
      'const ourMarkers = new Set(markerRows.map(({ marker }) => marker));',
      'The rows are those of markers: only the compiler needs the fallback.',
    ],
    [
      "const ref = { workspaceUuid: row.workspace_uuid ?? '', tokenId: row.token_id ?? '' };",
      "const ref = { workspaceUuid: row.workspace_uuid, tokenId: row.token_id ?? '' };",
      'An attempt at a token names it and its workspace: only the compiler needs the fallback.',
    ],
    [
      "const ref = { workspaceUuid: row.workspace_uuid ?? '', tokenId: row.token_id ?? '' };",
      "const ref = { workspaceUuid: row.workspace_uuid ?? '', tokenId: row.token_id };",
      'An attempt at a token names it and its workspace: only the compiler needs the fallback.',
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
  'src/trail/row-macs.ts': [
    [
      'const isAdopting = (): boolean => adoptUntilMs !== null && now() < adoptUntilMs;',
      'const isAdopting = (): boolean => now() < adoptUntilMs;',
      'Null counts as 0, and no clock is before that: only the compiler asks.',
    ],
  ],
  'src/trail/counted.ts': [
    [
      'sql`${auditEvents.read_key} = ${key} and ${auditEvents.read_key} is not null and ${auditEvents.closed_at} is null`;',
      'sql`${auditEvents.read_key} = ${key} and ${auditEvents.closed_at} is null`;',
      'SQLite concludes this from the comparison: EXPLAIN QUERY PLAN is the same without it. It is said all the same, since a run once read the whole trail.',
    ],
  ],
};
