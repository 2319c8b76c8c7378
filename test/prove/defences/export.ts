import type { Defence } from '../defence.ts';

const EXPORT = { file: 'src/trail/query/export.ts', test: ['test/trail/query/export.test.ts'] };
const STREAM = { file: 'src/trail/query/export.ts', test: ['test/trail/query/export-stream.test.ts'] };
const CSV = { file: 'src/trail/query/format.ts', test: ['test/trail/query/export-csv.test.ts'] };

/** What makes an export recorded, whole or visibly not so, bounded, and harmless to a spreadsheet. */
export const exportDefences: readonly Defence[] = [
  {
    ...EXPORT,
    name: 'export: nothing leaves that is not in the trail',
    find: 'if (!recorded.ok) return recorded;',
    replace: "if (!recorded.ok) return ok(new Blob(['']).stream());",
  },
  {
    ...EXPORT,
    name: 'export: each has a row of its own',
    find: 'await recorder.record(',
    replace: 'await recorder.recordRead(',
  },
  {
    ...EXPORT,
    name: 'export: what can still change is left out',
    find: 'latest ? null : nowMs));',
    replace: 'latest ? null : null));',
  },
  {
    ...EXPORT,
    name: 'export: it ends where the trail ended when it was asked for',
    find: 'const lastSeq = newest_seq ?? 0;',
    replace: 'const lastSeq = (newest_seq ?? 0) + Number.MAX_SAFE_INTEGER;',
  },
  {
    ...EXPORT,
    name: 'export: it goes on behind its cursor',
    find: 'const beginSeq = query.afterSeq ?? 0;',
    replace: 'const beginSeq = 0;',
  },
  {
    file: 'src/trail/query/routes.ts',
    test: EXPORT.test,
    name: 'export: it needs audit:read',
    find: "'audit:read', 'audit.export'",
    replace: "'tokens:read', 'audit.export'",
  },
  {
    ...STREAM,
    name: 'export: one that D1 cuts has no end',
    find: "controller.error(new Error('The trail could not be read to its end.'));",
    replace: 'controller.close();',
  },
  {
    ...STREAM,
    name: 'export: one that is not complete says so',
    find: "complete: last === 'complete',",
    replace: 'complete: true,',
  },
  {
    ...STREAM,
    name: 'export: an answer has so many rows and no more',
    find: 'count < limits.rows && ',
    replace: '',
  },
  {
    ...STREAM,
    name: 'export: an answer reads so many pages and no more',
    find: ' && pages < limits.pages',
    replace: '',
  },
  {
    ...STREAM,
    name: 'export: its last page is no longer than what is left',
    find: 'const read = await readPage(page.nextSeq, Math.min(limits.pageRows, limits.rows - count));\n        if (ended) return;',
    replace: 'const read = await readPage(page.nextSeq, limits.pageRows);\n        if (ended) return;',
  },
  {
    ...STREAM,
    name: 'export: one without a last line says how long it is',
    find: 'exportStream(source).pipeThrough(new FixedLengthStream(known.value.bytes))',
    replace: 'exportStream(source)',
  },
  {
    ...STREAM,
    name: 'export: one whose length is not known does not begin',
    find: 'if (!read.ok) return read;',
    replace: 'if (!read.ok) break;',
  },
  {
    ...STREAM,
    name: 'export: one without a last line says before where it goes on',
    find: 'next: page.hasMore ? encodeCursor(page.nextSeq) : null });',
    replace: 'next: null });',
  },
  {
    file: 'src/trail/query/page.ts',
    test: ['test/trail/query/query-follow.test.ts'],
    name: 'export: an open attempt of a clock that ran ahead hides nothing',
    find: '    lt(auditEvents.occurred_at, nowMs + AUDIT_UNFINISHED_MS),\n',
    replace: '',
  },
  {
    file: 'src/trail/query/page.ts',
    test: ['test/trail/query/query-follow.test.ts'],
    name: 'export: a counted read of a clock that ran ahead hides nothing',
    find: 'occurred_at < nowMs + AUDIT_UNFINISHED_MS && nowMs < endOfMinute',
    replace: 'nowMs < endOfMinute',
  },
  {
    file: 'src/trail/late-settlement.ts',
    test: ['test/trail/late-settlement.test.ts'],
    name: 'export: what becomes of an attempt of a clock that ran ahead is announced',
    find: 'Math.abs(nowMs - occurredAtMs)',
    replace: '(nowMs - occurredAtMs)',
  },
  {
    ...STREAM,
    name: 'export: it is read no faster than it is taken',
    find: '} while (!send(controller));',
    replace: '} while (!send(controller) || !ended);',
  },
  {
    ...STREAM,
    name: 'export: an empty page is not its end',
    find: "return text !== '';",
    replace: 'return true;',
    hangs: true,
  },
  {
    ...CSV,
    name: 'csv: a formula is text',
    find: `text.replace(FORMULA_CELL, "'")`,
    replace: 'text',
  },
  {
    ...CSV,
    name: 'csv: a formula is text behind other separators too',
    find: 'String.raw`^|[,;:|"\\p{Cc}]`',
    replace: "'^'",
  },
  {
    ...CSV,
    name: 'csv: a formula in JSON is none',
    find: 'literal.replace(JSON_FORMULA, escapeCharacter)',
    replace: 'literal',
  },
  {
    ...CSV,
    name: 'csv: an apostrophe of the text itself is not taken for ours',
    find: "(?:${FORMULA}|')",
    replace: '(?:${FORMULA})',
  },
  {
    ...CSV,
    name: 'csv: text that looks like an escape is not read as one',
    find: '.replace(ESCAPE_LIKE, String.raw`\\u005c`)',
    replace: '',
  },
  {
    ...CSV,
    name: 'csv: an event is one line',
    find: 'escapeControls(text.replace(FORMULA_CELL',
    replace: '(text.replace(FORMULA_CELL',
  },
  {
    ...CSV,
    name: 'csv: a quotation mark does not end its cell',
    find: `text.replaceAll('"', '""')`,
    replace: 'text',
  },
];
