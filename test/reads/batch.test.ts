import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { SNAPSHOT_STORE_MAX_BYTES } from '../../src/config/limits.ts';
import { sendTogether, type Sent } from '../../src/reads/batch.ts';
import { raiseGeneration } from '../../src/reads/generation.ts';
import { withInventory } from '../../src/reads/snapshot.ts';
import { tokenList, upstreamToken } from '../support/upstream-token.ts';
import {
  ALICE,
  alike,
  alone,
  dated,
  instead,
  isolate,
  newWorkspace,
  NOW,
  record,
  wanted,
  workspace,
} from './sent-trips.ts';

// What a group of reads sends to D1, which is no more than it needs.

beforeEach(newWorkspace);

const RECORDING = ['countKnown', 'insertNew'];
const LISTS = ['selectStored', 'selectStoredInventory'];
const ASKING = [
  'takeLeases',
  'upstream_calls',
  'upstream_calls',
  'upstream_calls',
  'upstream_calls',
  'selectQuotaNews',
];

describe('a group sends', () => {
  it.each<[string, () => readonly Sent[], readonly string[]]>([
    ['the row of a read that is decided', () => [alone({ record: record() })], [...RECORDING, 'selectGenerations']],
    [
      'a count, where two are alike',
      () => [alike('k', { record: record() }), alike('k', { record: record() })],
      [...RECORDING, 'countBeside', 'selectGenerations'],
    ],
    [
      'the label of a reader',
      () => [alone({ record: record({}, { ...ALICE, label: 'a@example.com' }) })],
      [...RECORDING, 'subject_labels', 'selectGenerations'],
    ],
    [
      'what takes the place of a list that is not current',
      () => [alone({ record: record(), wanted: instead() })],
      [...RECORDING, 'selectGenerations', ...LISTS],
    ],
    ['the question for a token', () => [alone({ tokenId: 'tok-1' })], ['selectGenerations', 'selectTokens']],
    [
      'what a search needs',
      () => [alone({ wanted: wanted() })],
      ['selectGenerations', ...LISTS, 'selectInUse', ...ASKING],
    ],
    [
      'no question for a lease, where PipeOps is not to be asked',
      () => [alone({ wanted: wanted({ mayAsk: false }) })],
      ['selectGenerations', ...LISTS, 'selectInUse'],
    ],
    [
      'that for a call alone, where lists are not shared',
      () => [alone({ wanted: wanted({ isShared: false }) })],
      ['selectGenerations', 'upstream_calls', 'upstream_calls'],
    ],
    [
      'neither for one that does not ask and one that does not share',
      () => [
        alone({ wanted: wanted({ mayAsk: false }) }),
        alone({ wanted: wanted({ isShared: false, mayAsk: false }) }),
      ],
      ['selectGenerations', ...LISTS, 'selectInUse'],
    ],
    [
      'each for its own, where one asks that does not share, and one shares that does not ask',
      () => [alone({ wanted: wanted({ mayAsk: false }) }), alone({ wanted: wanted({ isShared: false }) })],
      ['selectGenerations', ...LISTS, 'selectInUse', 'upstream_calls', 'upstream_calls'],
    ],
    [
      'all that one of several needs',
      () => [
        alone({ wanted: wanted(), tokenId: 'tok-1' }),
        alone({ record: record() }),
        alike('k', { record: record() }),
        alike('k', { record: record() }),
      ],
      [...RECORDING, 'countBeside', 'selectGenerations', 'selectTokens', ...LISTS, 'selectInUse', ...ASKING],
    ],
    [
      'the list that a read leaves, and the end of its lease, before it says anything of a generation',
      () => [alone({ store: dated(0), endLease: { holder: 'h', isListed: true } })],
      ['storeList', 'endLease', 'selectGenerations'],
    ],
    [
      'what a list turned out to be good for',
      () => [alone({ listState: { state: 'partial', atMs: NOW } })],
      ['list_state', 'selectGenerations'],
    ],
    [
      'the end of a lease alone, where the list is too long for D1',
      () => {
        const name = 'x'.repeat(SNAPSHOT_STORE_MAX_BYTES);
        const list = { ...dated(0), list: tokenList([upstreamToken({ name })]) };
        return [alone({ store: list, endLease: { holder: 'h', isListed: true } })];
      },
      ['endLease', 'selectGenerations'],
    ],
    [
      'the question for the inventory of a list that is shown',
      () => [alone({ inventoryOf: dated(0) })],
      ['selectGenerations', 'selectInventory'],
    ],
    [
      'that for all rows of the inventory, where the list is looked at',
      () => [alone({ inventoryOf: dated(0), isLook: true })],
      ['selectGenerations', 'selectLookRows'],
    ],
  ])('%s', async (_case, group, expected) => {
    const { send, sent } = isolate();
    await send(...group());
    expect(sent()).toEqual(expected);
  });

  it('before all else what is owed, and what other isolates have to hear of PipeOps’ quota', async () => {
    const { database, dependencies, sent } = isolate();
    const owed = { of: () => ({ queries: [raiseGeneration(database, workspace)], paid: () => {} }) };
    dependencies.quota.note({ status: 429, headers: new Headers({ 'Retry-After': '30' }) }, workspace, NOW);
    const answers = await sendTogether({ ...dependencies, owed }, [alone()]);
    expect(sent()).toEqual(['raiseGeneration', 'upstream_limits', 'upstream_limits', 'selectGenerations']);
    expect(answers).toMatchObject([{ ok: true, value: { generation: 1 } }]);
  });

  it('no question for an inventory that is known, but for one that is looked at', async () => {
    const { send, sent, known } = isolate();
    const list = dated(0);
    await send(alone({ inventoryOf: list }));
    expect(known.of(list)).toEqual(withInventory(list, []));
    await send(alone({ inventoryOf: list }));
    expect(sent()).toEqual(['selectGenerations']);
    await send(alone({ inventoryOf: list }), alone({ inventoryOf: list, isLook: true }));
    expect(sent()).toEqual(['selectGenerations', 'selectLookRows']);
  });
});

describe('a group that D1 does not take', () => {
  let isDown: boolean;
  const d1 = new Proxy(env.DB, {
    get: (target, key) => {
      const value: unknown = Reflect.get(target, key);
      if (key === 'batch' && isDown) return async () => await Promise.reject(new Error('injected'));
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  beforeEach(() => {
    isDown = true;
  });

  it('is told, and pays no debt', async () => {
    const { dependencies } = isolate({ d1 });
    const paid: string[] = [];
    const owed = {
      of: (workspaces: readonly string[]) => ({ queries: [], paid: () => void paid.push(...workspaces) }),
    };
    expect(await sendTogether({ ...dependencies, owed }, [alone()])).toBeNull();
    expect(paid).toEqual([]);
    isDown = false;
    expect(await sendTogether({ ...dependencies, owed }, [alone()])).not.toBeNull();
    expect(paid).toEqual([workspace]);
  });

  it('leaves open which label D1 has: the next read notes its own', async () => {
    const { send, sent } = isolate({ d1 });
    const labelled = (label: string) => alone({ record: record({}, { ...ALICE, label }) });
    isDown = false;
    await send(labelled('a@example.com'));
    await send(labelled('a@example.com'));
    expect(sent()).not.toContain('subject_labels');
    isDown = true;
    await send(labelled('b@example.com'));
    isDown = false;
    await send(labelled('a@example.com'));
    expect(sent()).toContain('subject_labels');
  });
});
