import type { Defence } from '../defence.ts';

const MIGRATION = { file: 'drizzle/0001_append_only.sql', test: ['test/trail/append-only.test.ts'] };

/** The guards of the trail that the database itself keeps. */
export const triggerDefences: readonly Defence[] = [
  {
    ...MIGRATION,
    name: 'trigger: a new row takes no id that is taken',
    find: "SELECT RAISE(ABORT, 'audit_events: the id is taken')",
    replace: 'SELECT 1',
  },
  {
    ...MIGRATION,
    name: 'trigger: a new row takes no seq that is taken',
    find: "SELECT RAISE(ABORT, 'audit_events: the seq is taken')",
    replace: 'SELECT 1',
  },
  {
    ...MIGRATION,
    name: 'trigger: a new row is final or attempted',
    find: "SELECT RAISE(ABORT, 'audit_events: a row is final or attempted')",
    replace: 'SELECT 1',
  },
  {
    ...MIGRATION,
    name: 'trigger: a new row has at most 2048 bytes',
    find: "NEW.last_at IS NOT NULL;\n  SELECT RAISE(ABORT, 'audit_events: the row is over 2048 bytes')",
    replace: 'NEW.last_at IS NOT NULL;\n  SELECT 1',
  },
  {
    ...MIGRATION,
    name: 'trigger: a new row counts for one',
    find: "SELECT RAISE(ABORT, 'audit_events: a row begins with a count of one')",
    replace: 'SELECT 1',
  },
  {
    ...MIGRATION,
    name: 'trigger: the seq is dense',
    find: "SELECT RAISE(ABORT, 'audit_events: the seq is given by the database')",
    replace: 'SELECT 1',
  },
  {
    ...MIGRATION,
    name: 'trigger: a row is settled once',
    find: "SELECT RAISE(ABORT, 'audit_events: only an attempted row may be settled, once')",
    replace: 'SELECT 1',
  },
  {
    ...MIGRATION,
    name: 'trigger: of a counted read only the count grows',
    find: "SELECT RAISE(ABORT, 'audit_events: only the count of a counted read grows')",
    replace: 'SELECT 1',
  },
  {
    ...MIGRATION,
    name: 'trigger: what was recorded does not change',
    find: "SELECT RAISE(ABORT, 'audit_events: what was recorded does not change')",
    replace: 'SELECT 1',
  },
  {
    ...MIGRATION,
    name: 'trigger: a settled row keeps the id of its token',
    find: '(OLD.token_id IS NOT NULL AND NEW.token_id IS NOT OLD.token_id)',
    replace: '0',
  },
  {
    ...MIGRATION,
    name: 'trigger: a settled row has at most 2048 bytes',
    find: "NEW.read_key IS NOT OLD.read_key;\n  SELECT RAISE(ABORT, 'audit_events: the row is over 2048 bytes')",
    replace: 'NEW.read_key IS NOT OLD.read_key;\n  SELECT 1',
  },
  {
    ...MIGRATION,
    name: 'trigger: nothing is deleted',
    find: "SELECT RAISE(ABORT, 'audit_events: nothing is deleted')",
    replace: 'SELECT 1',
  },
];
