import type { Defence } from '../defence.ts';

const OWN = ['test/trail/query/own-events.test.ts'];

const TIMES = { file: 'src/trail/query/time-bounds.ts', test: ['test/trail/query/time-bounds.test.ts'] };
const SPANS = { file: 'drizzle/0005_time_spans.sql', test: ['test/trail/time-spans.test.ts'] };

/** What makes a query of the trail find every event, at a bounded cost. */
export const queryDefences: readonly Defence[] = [
  {
    name: 'own events: an event is shown to whoever caused it, and to nobody else of that subject',
    file: 'src/trail/query/event-by-id.ts',
    find: '.where(and(eq(auditEvents.id, eventId), isOfSubject(owner), isOfIssuer(owner)));',
    replace: '.where(and(eq(auditEvents.id, eventId), isOfSubject(owner)));',
    test: OWN,
  },
  {
    name: 'own events: the true reason of a refusal is not shown',
    file: 'src/trail/query/event-by-id.ts',
    find: '.filter(([name]) => SHOWN_OUTCOME.includes(name))',
    replace: '',
    test: OWN,
  },
  {
    name: 'own events: they are looked up as such, whatever else is asked for',
    file: 'src/trail/query/conditions.ts',
    find: 'if (filter.own !== null) return planOfOwn(filter, filter.own);',
    replace: 'if (filter.own !== null && indexed(filter).length === 0) return planOfOwn(filter, filter.own);',
    test: OWN,
  },
  {
    name: 'own events: a query is of one’s own alone',
    file: 'src/trail/query/routes.ts',
    find: 'return actor === ME && more.length === 0;',
    replace: 'return actor === ME;',
    test: OWN,
  },
  {
    name: 'own events: what is shown of one depends on the role',
    file: 'src/trail/query/routes.ts',
    find: 'const present = isReader(c) ? presentEvent : presentOwnEvent;',
    replace: 'const present = isReader(c) ? presentEvent : presentEvent;',
    test: OWN,
  },
  {
    ...TIMES,
    name: 'times: what no span covers is looked at',
    find: 'where exists (select 1 from ${auditEvents} where ${isAskedFor})',
    replace: 'where false and exists (select 1 from ${auditEvents} where ${isAskedFor})',
  },
  {
    ...TIMES,
    name: 'times: spans are looked into in the order of the page',
    find: "order by ${order === 'asc' ? sql`1 asc` : sql`2 desc`}, 3 desc",
    replace: 'order by 1 asc, 3 desc',
  },
  {
    ...TIMES,
    name: 'times: where no smallest span is found, nothing behind the last is excluded',
    find: 'max(first_seq)) - 1 from forwards)',
    replace: '9007199254740991) - 1 from forwards)',
  },
  {
    file: 'src/trail/query/conditions.ts',
    test: ['test/trail/query/time-bounds.test.ts'],
    name: 'times: what spans leave is checked',
    find: 'rest: [...others.map(({ condition }) => condition), ...unindexed(filter), ...timesOf(filter)],',
    replace: 'rest: [...others.map(({ condition }) => condition), ...unindexed(filter)],',
  },
  {
    file: 'src/trail/query/conditions.ts',
    test: ['test/trail/query/workspace-spelling.test.ts'],
    name: 'workspaces: a filter finds what was written in other spellings',
    find: "return lookup([canonical, { index: 'audit_events_respelled', where: respelled }]);",
    replace: 'return lookup(respelled === undefined ? [canonical] : [canonical, { ...canonical, where: sql`false` }]);',
  },
  {
    file: 'src/db/workspace-spelling.ts',
    test: ['test/db/workspace-spelling.test.ts'],
    name: 'workspaces: D1 spells what has other digits as it is',
    find: "and ${digits} not glob '*[^0-9A-Fa-f]*'",
    replace: '',
  },
  {
    file: 'src/trail/query/conditions.ts',
    test: ['test/trail/statement-limits.test.ts'],
    name: 'actions: a list is one parameter',
    find: 'const action = sql`(select list ->> ${sql.raw(String(index))} from listed_actions)`;',
    replace: "const action = sql`(select ${actions[index]} || ${''} || ${''} || ${''})`;",
  },
  {
    ...SPANS,
    name: 'spans: there is one of each',
    find: "SELECT RAISE(ABORT, 'audit_time_spans: the span is there')",
    replace: 'SELECT 1',
  },
  {
    ...SPANS,
    name: 'spans: none is made but with its last event',
    find: "SELECT RAISE(ABORT, 'audit_time_spans: a span is made with its last event')",
    replace: 'SELECT 1',
  },
  {
    ...SPANS,
    name: 'spans: none has a size that is not known',
    find: "SELECT RAISE(ABORT, 'audit_time_spans: a span has one of the known sizes')",
    replace: 'SELECT 1',
  },
  {
    ...SPANS,
    name: 'spans: none changes',
    find: "SELECT RAISE(ABORT, 'audit_time_spans: a span does not change');",
    replace: 'SELECT 1;',
  },
  {
    ...SPANS,
    name: 'spans: none is deleted',
    find: "SELECT RAISE(ABORT, 'audit_time_spans: nothing is deleted');",
    replace: 'SELECT 1;',
  },
  {
    file: 'drizzle/0005_time_spans.sql',
    test: ['test/trail/query/time-bounds.test.ts'],
    name: 'spans: none is made behind a gap',
    find: 'AND (NEW.seq = 16 OR EXISTS (SELECT 1 FROM audit_time_spans WHERE size = 16 AND last_seq = NEW.seq - 16))',
    replace: '',
  },
];
