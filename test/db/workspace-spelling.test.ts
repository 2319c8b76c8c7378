import { env } from 'cloudflare:workers';
import { sql } from 'drizzle-orm';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createDatabase } from '../../src/db/database.ts';
import { canonicalWorkspace, digitsOfWorkspace, isRespelled } from '../../src/db/workspace-spelling.ts';
import { parseWorkspaceUuid } from '../../src/kit/ids.ts';
import { newTrace } from '../../src/kit/trace.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';
import { newWorkspace, storedSpellingsOf } from '../support/spellings.ts';

// D1 and this service give one spelling to every id that an earlier version could have stored.

const database = createDatabase(env.DB, workerRuntime);

async function inD1(texts: readonly (string | null)[]) {
  const read = await database.batch({ trace: newTrace() }, [
    database.build
      .select({
        canonical: sql<string | null>`${canonicalWorkspace('e.value')}`.as('canonical'),
        respelled: sql<number | null>`${isRespelled('e.value')}`.as('respelled'),
        digits: sql<string | null>`${digitsOfWorkspace('e.value')}`.as('digits'),
      })
      .from(sql`json_each(${JSON.stringify(texts)}) as e`),
  ] as const);
  if (!read.ok) throw new Error('D1 did not answer');
  return read.value[0];
}

const WORKSPACE = newWorkspace();
const OPAQUE = [
  'w',
  'Shop',
  'tok-1',
  WORKSPACE.slice(1),
  `${WORKSPACE}0`,
  WORKSPACE.replace('a', 'g'),
  WORKSPACE.replaceAll('-', '_'),
  'ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF',
  'abcdefghijklmnopqrstuvwxyzabcdef',
  'A'.repeat(128),
];

describe('D1 spells', () => {
  it.each([[WORKSPACE, WORKSPACE], ...Object.entries(storedSpellingsOf(WORKSPACE))])(
    'a UUID: %s',
    async (_name, text) => {
      const [row] = await inD1([text]);
      expect(row?.canonical).toBe(WORKSPACE);
      expect(row?.respelled).toBe(text === WORKSPACE ? 0 : 1);
      expect(row?.digits).toBe(WORKSPACE.replaceAll('-', ''));
    },
  );

  it.each(OPAQUE)('%j as it is', async (text) => {
    expect((await inD1([text]))[0]?.canonical).toBe(text);
    expect(parseWorkspaceUuid(text)).toBe(text);
  });

  it('null as null', async () => {
    expect(await inD1([null])).toEqual([{ canonical: null, respelled: null, digits: null }]);
  });

  it('any text as this service does', async () => {
    const near = fc.string({
      unit: fc.constantFrom('0', '9', 'a', 'A', 'f', 'g', '-', '.'),
      minLength: 1,
      maxLength: 40,
    });
    const uuid = fc.uuid().map((text) => Object.values(storedSpellingsOf(text)));
    const texts = fc.sample(
      fc.oneof(
        near,
        uuid.chain((all) => fc.constantFrom(...all)),
      ),
      2_000,
    );
    const ids = texts.filter((text) => parseWorkspaceUuid(text) !== null);
    expect((await inD1(ids)).map(({ canonical }) => canonical)).toEqual(ids.map(parseWorkspaceUuid));
  });
});
