import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  addRows,
  clearTrail,
  createRig,
  finalRow,
  keyOf,
  mixedRows,
  NOW,
  ORIGIN,
  readLeaves,
  readLog,
  unguarded,
} from './rig.ts';

// What stops a log: what is stored is not what was assigned, or somebody knows more of it than D1.

beforeEach(clearTrail);

describe('a log that meets what it has not made', () => {
  /** A log of so many leaves, and an event that it has not sealed. */
  const grown = async (size: number): Promise<void> => {
    await addRows(Array.from({ length: size }, () => finalRow()));
    await createRig({ chunkRows: 500 }).run();
    await addRows([finalRow()]);
  };
  type Case = readonly [string, string, () => Promise<unknown>];
  const CASES: readonly Case[] = [
    [
      'a sealed row was changed',
      'the leaf 1, of the event 2',
      async () => unguarded([`update audit_events set token_name = 'x' where seq = 2`]),
    ],
    [
      'a sealed row was deleted',
      'the leaf 1, of the event 2',
      async () => unguarded(['delete from audit_events where seq = 2']),
    ],
    [
      'a leaf was changed',
      'the leaf 1, of the event 2',
      async () => unguarded(['update trail_leaves set authentic = 0 where idx = 1']),
    ],
    [
      'a leaf was deleted',
      'the leaf 2, of the event 3',
      async () => unguarded(['delete from trail_leaves where idx = 1']),
    ],
    [
      'the edge was changed',
      'the edge at size 4',
      async () => unguarded([`update trail_logs set edge = json_array(edge ->> 1, edge ->> 0)`]),
    ],
    ['the edge is none', 'the edge at size 3', async () => unguarded([`update trail_logs set edge = '["AAAA"]'`])],
    [
      'the last checkpoint was changed',
      'the file 1/checkpoint/000000000000003',
      async () => unguarded([`update trail_checkpoints set note = replace(note, char(10) || '3', char(10) || '4')`]),
    ],
    [
      'the last checkpoint was signed by nobody',
      'the file 1/checkpoint/000000000000003',
      async () =>
        unguarded([`update trail_checkpoints set note = substr(note, 1, length(note) - 9) || 'AAAAAAA=' || char(10)`]),
    ],
    [
      'its place is taken by another checkpoint',
      'the file 1/checkpoint/000000000000003',
      async () => env.TRAIL.put('1/checkpoint/000000000000003', 'x'),
    ],
    [
      'a file that it makes is there already',
      'the file 1/tile/0/000.p/4',
      async () => env.TRAIL.put('1/tile/0/000.p/4', new Uint8Array(128)),
    ],
  ];
  const OF_TILES: readonly Case[] = [
    [
      'a tile that it needs was swapped',
      'the root at size 300',
      async () => env.TRAIL.put('1/tile/1/000.p/1', new Uint8Array(32)),
    ],
    [
      'a tile that it needs was cut',
      'the file 1/tile/1/000.p/1',
      async () => env.TRAIL.put('1/tile/1/000.p/1', new Uint8Array(31)),
    ],
  ];
  const BEHIND: readonly Case[] = [
    [
      'the store knows a later checkpoint',
      '1/checkpoint/000000000000004',
      async () => env.TRAIL.put('1/checkpoint/000000000000004', 'x'),
    ],
    [
      'the store knows a later log',
      '2/checkpoint/000000000000001',
      async () => env.TRAIL.put('2/checkpoint/000000000000001', 'x'),
    ],
  ];
  const of = (cases: readonly Case[], because: string, size: number) =>
    cases.map(([name, where, change]) => [name, because, where, size, change] as const);

  it.each([...of(CASES, 'forked', 3), ...of(OF_TILES, 'forked', 300), ...of(BEHIND, 'rolled_back', 3)])(
    'stops where %s',
    async (_case, because, where, size, change) => {
      await grown(size);
      await change();
      const rig = createRig();
      expect(await rig.run()).toEqual({ sealed: 0, publishedSize: size });
      expect(rig.failures()).toEqual([
        { level: 'error', event: 'sealing_failed', because, where, next_step: expect.any(String) },
      ]);
      expect(rig.checkpoints()).toEqual([]);
      expect(await readLog()).toMatchObject({ stopped: because, stopped_at: NOW, published_size: size });
      // It stays stopped, and says so no more: /readyz does.
      const again = createRig();
      expect(await again.run()).toEqual({ sealed: 0, publishedSize: size });
      expect(again.lines).toEqual([]);
    },
  );

  it('stops where the edge is none and a key is to hand over', async () => {
    await grown(3);
    await unguarded([`update trail_logs set edge = '["AAAA"]'`]);
    const rig = createRig({ nextKey: await keyOf(ORIGIN, new Uint8Array(32).fill(7)) });
    await rig.run();
    expect(rig.failures()).toEqual([expect.objectContaining({ because: 'forked', where: 'the edge at size 3' })]);
    expect((await readLeaves()).length).toBe(3);
  });

  it.each([
    ['is another one', 'the leaf 1', `entry = replace(entry, '}', ' }')`],
    ['is gone', 'the leaf 1', 'entry = null'],
    ['is to be that of an event', 'the leaf 1, of the event 1', 'entry = null, seq = 1'],
  ])('stops at the leaf of a hand-over whose entry %s', async (_case, where, change) => {
    const nextKey = await keyOf(ORIGIN, new Uint8Array(32).fill(7));
    await grown(1);
    await createRig({ nextKey }).run();
    await addRows([finalRow()]);
    await unguarded([`update trail_leaves set ${change} where idx = 1`]);
    const rig = createRig({ nextKey });
    await rig.run();
    expect(rig.failures()).toEqual([expect.objectContaining({ because: 'forked', where })]);
  });

  it('waits where a file of the log is missing: its bucket may be another one', async () => {
    await grown(300);
    await env.TRAIL.delete('1/tile/1/000.p/1');
    const rig = createRig();
    await rig.run();
    expect(rig.failures()).toEqual([expect.objectContaining({ because: 'file_missing', where: '1/tile/1/000.p/1' })]);
    expect((await readLog()).stopped).toBe(null);
  });

  it('reads the files that it kept in D1 before it had a bucket', async () => {
    await addRows(mixedRows(300));
    await createRig({ store: 'd1', chunkRows: 500 }).run();
    await addRows([finalRow()]);
    const rig = createRig();
    await rig.run();
    expect(rig.failures()).toEqual([]);
    expect((await readLog()).published_size).toBe(301);
  });

  it('seals no row that was put in at or below what it has passed', async () => {
    await addRows(mixedRows(3));
    await createRig().run();
    await expect(env.DB.prepare('insert into audit_events (seq, id) values (2, ?)').bind('x').run()).rejects.toThrow(
      'audit_events: ',
    );
    await unguarded([
      `insert into audit_events (seq, id, occurred_at, action, status, actor_type, detail, settled_at)
       values (0, 'put in', 1, 'audit.query', 'success', 'user', '{}', 1)`,
    ]);
    await createRig().run();
    // An export shows the row, and no leaf has it: so does verify.
    expect((await readLeaves()).map(({ seq }) => seq)).toEqual([1, 2, 3].filter((seq) => seq !== 0));
  });
});
