import type { R2Bucket } from '@cloudflare/workers-types';
import { and, eq, gt, lt, type SQL, sql } from 'drizzle-orm';
import {
  OBJECTS_AT_ONCE,
  OBJECTS_TEXT_MAX_CHARS,
  OBJECTS_TEXTS_AT_ONCE,
  R2_TIMEOUT_MS,
} from '../../config/trail-limits.ts';
import type { Database, DatabaseFailure } from '../../db/database.ts';
import { trailObjects } from '../../db/trail-log-schema.ts';
import { decodePaddedBase64 } from '../../kit/bytes.ts';
import { waitFor } from '../../kit/deadline.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import type { Runtime } from '../../kit/runtime.ts';
import type { Trace } from '../../kit/trace.ts';
import { sameHash } from '../../tlog/merkle.ts';

// Where the files of the logs are kept: in the bucket of the binding TRAIL, or without one in D1. Neither lets this code change a file.

/** A file of a log. */
export interface StoredObject {
  /** `<log>/tile/…` or `<log>/checkpoint/<size>`. */
  readonly key: string;
  readonly bytes: Uint8Array;
}

/** `rejected`: the store answered with an error. `unanswered`: it did not answer in time, and may have kept the file. */
export type StoreFailure = DatabaseFailure;

/** What became of a file. `same`: its key was taken by the same bytes. `different`: its key was taken by others. */
export type Creation = 'created' | 'same' | 'different';

interface Traced {
  readonly trace: Trace;
}

/** Files that are only ever created. */
export interface LogStore {
  /** Null: there is no such file. */
  get(context: Traced, key: string): Promise<Result<Uint8Array | null, StoreFailure>>;
  /** Creates a file. Where its key is taken, it reads what is there and compares. */
  create(context: Traced, object: StoredObject): Promise<Result<Creation, StoreFailure>>;
  /**
   * Creates files as `create` does, several at once, and ends at the first that is taken by other bytes, or fails.
   *
   * @param mayGoOn asked before each file; where it says no, the rest is `unanswered`.
   * @returns the key that is taken by other bytes; null: all files are there.
   */
  createAll(
    context: Traced,
    objects: readonly StoredObject[],
    mayGoOn?: () => boolean,
  ): Promise<Result<string | null, StoreFailure>>;
  /** The first key of this prefix behind `key` in the order of their bytes; null: there is none. */
  firstAfter(context: Traced, prefix: string, key: string): Promise<Result<string | null, StoreFailure>>;
  /** How many statements `createAll` sends to D1 at the most for files of these lengths. */
  statementsFor(objects: readonly StoredObject[]): number;
  /** Whether its calls are statements to D1. */
  readonly isInD1: boolean;
}

/** The digits of a size in a key, so that the order of keys is that of sizes. */
const SIZE_DIGITS = 15;

/** The size as keys have it. */
export const sizeKey = (size: number): string => String(size).padStart(SIZE_DIGITS, '0');

/** The key under which the checkpoints of a log stand. */
export const checkpointPrefix = (log: number): string => `${log}/checkpoint/`;

/** The key of the checkpoint of a log at a size. */
export const checkpointKey = (log: number, size: number): string => `${checkpointPrefix(log)}${sizeKey(size)}`;

export interface StoreDependencies {
  readonly database: Database;
  /** Null: files are kept in D1. */
  readonly bucket: R2Bucket | null;
  readonly runtime: Pick<Runtime, 'after' | 'log'>;
}

/**
 * The store of a deployment. One that began without a bucket and has one now keeps its former files in D1, so they are read there where
 * the bucket has none.
 */
export function createLogStore({ database, bucket, runtime }: StoreDependencies): LogStore {
  const inD1 = createD1Store(database);
  if (bucket === null) return inD1;
  const inR2 = createR2Store(bucket, runtime);
  const get: LogStore['get'] = async (context, key) => {
    const found = await inR2.get(context, key);
    return found.ok && found.value === null ? await inD1.get(context, key) : found;
  };
  return { ...inR2, get };
}

/** Keeps files in an R2 bucket. Each call has R2_TIMEOUT_MS. */
export function createR2Store(bucket: R2Bucket, runtime: Pick<Runtime, 'after' | 'log'>): LogStore {
  const call = async <T>(name: string, work: () => Promise<T>): Promise<Result<T, StoreFailure>> => {
    const done = await waitFor(runtime, R2_TIMEOUT_MS, work());
    if (done.ok) return done;
    const failure: StoreFailure = done.error === 'timeout' ? 'unanswered' : 'rejected';
    runtime.log({ level: 'error', event: 'r2_failed', call: name, failure });
    return err(failure);
  };

  const get: LogStore['get'] = async (_context, key) =>
    await call('get', async () => {
      const object = await bucket.get(key);
      return object === null ? null : new Uint8Array(await object.arrayBuffer());
    });

  const create: LogStore['create'] = async (context, { key, bytes }) => {
    // R2 gives null where the condition does not hold.
    const onlyIf = { etagDoesNotMatch: '*' };
    const put = await call('put', async () => await bucket.put(key, bytes, { onlyIf }));
    if (!put.ok) return put;
    if (put.value !== null) return ok('created');
    const found = await get(context, key);
    if (!found.ok) return found;
    // Nothing deletes files, so one that is taken and not there is an answer that cannot be relied on.
    if (found.value === null) return err('rejected');
    return ok(sameHash(found.value, bytes) ? 'same' : 'different');
  };

  const createAll: LogStore['createAll'] = async (context, objects, mayGoOn = () => true) => {
    const waiting = [...objects];
    let end: Result<string | null, StoreFailure> = ok(null);
    const work = async (): Promise<void> => {
      for (let object = waiting.shift(); object !== undefined; object = waiting.shift()) {
        const created = mayGoOn() ? await create(context, object) : err<StoreFailure>('unanswered');
        if (created.ok && created.value !== 'different') continue;
        waiting.length = 0;
        // Other bytes weigh more than a failure beside them.
        if (created.ok) end = ok(object.key);
        else if (end.ok && end.value === null) end = created;
        return;
      }
    };
    await Promise.all(Array.from({ length: OBJECTS_AT_ONCE }, work));
    return end;
  };

  const firstAfter: LogStore['firstAfter'] = async (_context, prefix, key) =>
    await call('list', async () => {
      const { objects } = await bucket.list({ prefix, startAfter: key, limit: 1 });
      return objects[0]?.key ?? null;
    });

  return { get, create, createAll, firstAfter, statementsFor: () => 0, isInD1: false };
}

/** Keeps files in the table `trail_objects`. */
export function createD1Store(database: Database): LogStore {
  const { build } = database;

  const get: LogStore['get'] = async (context, key) => {
    const read = await database.batch(context, [build.select().from(trailObjects).where(eq(trailObjects.key, key))]);
    if (!read.ok) return read;
    const [row] = read.value[0];
    return ok(row === undefined ? null : fromBase64(row.body));
  };

  /** Creates the files whose keys are free, and gives these keys. */
  const insertAll = (texts: readonly string[]) =>
    build
      .insert(trailObjects)
      .select(
        sql`select e.value ->> 'key', e.value ->> 'body' from ${filesOf(texts)} as e
            where not exists (select 1 from trail_objects as o where o.key = e.value ->> 'key')`,
      )
      .returning({ key: sql<string>`key`.as('key') });

  /** The first of these files whose key is taken by another body. */
  const selectOther = (texts: readonly string[]) =>
    build
      .select({ key: sql<string>`o.key`.as('key') })
      .from(sql`${filesOf(texts)} as e cross join trail_objects as o on o.key = e.value ->> 'key'`)
      .where(sql`o.body is not e.value ->> 'body'`)
      .limit(1);

  const put = async (context: Traced, { texts, files }: FilesOfStatement): Promise<Result<Put, StoreFailure>> => {
    const created = await database.batch(context, [insertAll(texts)]);
    if (!created.ok) return created;
    if (created.value[0].length === files) return ok({ became: 'created', other: null });
    // Nobody changes a file, so what is there can be compared afterwards.
    const compared = await database.batch(context, [selectOther(texts)]);
    if (!compared.ok) return compared;
    const other = compared.value[0][0]?.key ?? null;
    return ok({ became: other === null ? 'same' : 'different', other });
  };

  const createAll: LogStore['createAll'] = async (context, objects, mayGoOn = () => true) => {
    for (const files of statementsOf(objects)) {
      if (!mayGoOn()) return err('unanswered');
      // oxlint-disable-next-line no-await-in-loop -- D1 does one at a time
      const done = await put(context, files);
      if (!done.ok) return done;
      if (done.value.other !== null) return ok(done.value.other);
    }
    return ok(null);
  };

  const create: LogStore['create'] = async (context, object) => {
    const done = await put(context, { texts: [JSON.stringify([rowOf(object)])], files: 1 });
    return done.ok ? ok(done.value.became) : done;
  };

  const firstAfter: LogStore['firstAfter'] = async (context, prefix, key) => {
    const after = key.startsWith(prefix) ? key : prefix;
    const read = await database.batch(context, [
      build
        .select({ key: trailObjects.key })
        .from(trailObjects)
        .where(and(gt(trailObjects.key, after), lt(trailObjects.key, `${prefix}\uFFFF`)))
        .orderBy(trailObjects.key)
        .limit(1),
    ]);
    return read.ok ? ok(read.value[0][0]?.key ?? null) : read;
  };

  return {
    get,
    create,
    createAll,
    firstAfter,
    statementsFor: (objects) => 2 * statementsOf(objects).length,
    isInD1: true,
  };
}

interface ObjectRow {
  readonly key: string;
  readonly body: string;
}

const rowOf = ({ key, bytes }: StoredObject): ObjectRow => ({ key, body: Buffer.from(bytes).toString('base64') });
const fromBase64 = (body: string): Uint8Array => decodePaddedBase64(body) ?? new Uint8Array();

/** What became of files. */
interface Put {
  readonly became: Creation;
  /** The key of one that is taken by another body; null: none is. */
  readonly other: string | null;
}

/** Files that one statement takes. */
interface FilesOfStatement {
  /** JSON, each as much as D1 binds as one value. */
  readonly texts: readonly string[];
  readonly files: number;
}

const filesOf = (texts: readonly string[]): SQL =>
  sql`(${sql.join(
    texts.map((text) => sql`select value from json_each(${text})`),
    sql` union all `,
  )})`;

/** Files for as few statements as D1 takes them in. */
function statementsOf(objects: readonly StoredObject[]): readonly FilesOfStatement[] {
  const texts: ObjectRow[][] = [];
  let chars = Infinity;
  for (const object of objects) {
    const row = rowOf(object);
    const own = row.body.length + row.key.length;
    if (chars + own > OBJECTS_TEXT_MAX_CHARS) {
      texts.push([]);
      chars = 0;
    }
    texts.at(-1)?.push(row);
    chars += own;
  }
  return Array.from({ length: Math.ceil(texts.length / OBJECTS_TEXTS_AT_ONCE) }, (_, index) => {
    const own = texts.slice(index * OBJECTS_TEXTS_AT_ONCE, (index + 1) * OBJECTS_TEXTS_AT_ONCE);
    return { texts: own.map((rows) => JSON.stringify(rows)), files: own.flat().length };
  });
}

/**
 * A store as one run of sealing uses it: it knows the partial tiles that it has put last, which the next chunk grows from. What they hold is
 * believed as little as what is read: it has to lead to the root that was signed.
 */
export function rememberingStore(store: LogStore): LogStore {
  const last = new Map<string, Uint8Array>();
  return {
    ...store,
    get: async (context, key) => {
      const known = last.get(key);
      return known === undefined ? await store.get(context, key) : ok(known);
    },
    createAll: async (context, objects, mayGoOn) => {
      last.clear();
      const done = await store.createAll(context, objects, mayGoOn);
      if (!done.ok || done.value !== null) return done;
      for (const { key, bytes } of objects) if (isPartial(key)) last.set(key, bytes);
      return done;
    },
  };
}

/** Whether a tile has room left (C2SP tlog-tiles: `.p/<width>`). */
const isPartial = (key: string): boolean => key.includes('.p/');
