import { env } from 'cloudflare:workers';
import { sha256Hex } from '../../src/kit/digest.ts';

/** A statement as it reached D1: its text on one line, and a letter for the type of each bound value. */
interface Statement {
  readonly sql: string;
  readonly types: string;
}

/** Statements that were sent together; a statement that was run alone stands by itself. */
interface Sent {
  readonly how: 'batch' | 'alone';
  readonly statements: readonly Statement[];
}

/** A D1 binding that records what is sent, in the order in which it is sent. */
export function createBatchRecorder() {
  const sent: Sent[] = [];
  const recorded = new WeakMap<D1PreparedStatement, Statement>();
  const originals = new WeakMap<D1PreparedStatement, D1PreparedStatement>();

  /** Methods that run a statement by itself are recorded too: a batch is not the only way to D1. */
  const record = (prepared: D1PreparedStatement, sql: string, values: readonly unknown[]): D1PreparedStatement => {
    const statement = { sql: sql.replaceAll(/\s+/g, ' ').trim(), types: values.map(typeOf).join('') };
    const proxy = new Proxy(prepared, {
      get: (target, key) => {
        if (key === 'bind') return (...bound: unknown[]) => record(target.bind(...bound), sql, bound);
        const value: unknown = Reflect.get(target, key);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]): unknown => {
          sent.push({ how: 'alone', statements: [statement] });
          return Reflect.apply(value, target, args);
        };
      },
    });
    recorded.set(proxy, statement);
    originals.set(proxy, prepared);
    return proxy;
  };

  const db: D1Database = new Proxy(env.DB, {
    get: (target, key) => {
      if (key === 'prepare') return (sql: string) => record(target.prepare(sql), sql, []);
      if (key === 'batch') {
        return async (batch: D1PreparedStatement[]) => {
          sent.push({ how: 'batch', statements: batch.map((prepared) => recorded.get(prepared)!) });
          return await target.batch(batch.map((prepared) => originals.get(prepared)!));
        };
      }
      const value: unknown = Reflect.get(target, key);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });

  return { db, take: (): readonly Sent[] => sent.splice(0) };
}

const typeOf = (value: unknown): string =>
  value === null ? '-' : typeof value === 'string' ? 't' : typeof value === 'number' ? 'n' : '?';

const LEGEND = 'What each operation sends to D1. In brackets the values that are bound: t is text, n a number, - null.';

/** What each operation sent, and each statement that any of them sent. Texts that can be compared line by line. */
export async function describeOperations(
  operations: readonly { readonly name: string; readonly sent: readonly Sent[] }[],
): Promise<{ readonly operations: string; readonly statements: string }> {
  const names = new Map<string, string>();
  for (const { sql } of operations.flatMap(({ sent }) => sent.flatMap(({ statements }) => statements))) {
    if (!names.has(sql)) names.set(sql, await nameOf(sql));
  }
  const lines = operations.flatMap(({ name, sent }) => [
    `# ${name}`,
    ...sent.flatMap(({ how, statements }) => [
      how,
      ...statements.map(({ sql, types }) => `  ${names.get(sql)} (${types})`),
    ]),
    '',
  ]);
  const statements = [...names].map(([sql, name]) => `-- ${name}\n${sql};\n`).toSorted();
  return { operations: [LEGEND, '', ...lines].join('\n'), statements: statements.join('\n') };
}

/** What it does to which table, and a few digits of its digest: a name that stays while the text does. */
async function nameOf(sql: string): Promise<string> {
  const [verb = ''] = /[a-z]+/i.exec(sql) ?? [];
  const [, table = ''] = /\b(?:into|update|from) "?([a-z_]+)/i.exec(sql) ?? [];
  return `${verb.toLowerCase()} ${table} ${(await sha256Hex(sql)).slice(0, 6)}`;
}
