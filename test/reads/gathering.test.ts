import { expect, it } from 'vitest';
import { createGathering } from '../../src/reads/group.ts';

function setUp() {
  const asleep: { readonly ms: number; readonly wake: () => void }[] = [];
  const gathering = createGathering<string>({
    sleep: async (ms) => await new Promise<void>((resolve) => asleep.push({ ms, wake: resolve })),
  });
  const states: string[] = [];
  /** No test awaits this: it would wait for ever where nothing ends it. */
  const wait = (count: number): void => {
    void gathering.untilCount(count, 3).then(() => states.push(`over at ${gathering.waiting().length}`));
  };
  return { gathering, asleep, states, wait };
}

/** All that is over by now has said so. */
const settled = async () => await scheduler.wait(0);

it('waits for nobody where enough wait', async () => {
  const { gathering, asleep, states, wait } = setUp();
  gathering.add('one');
  wait(1);
  await settled();
  expect(states).toEqual(['over at 1']);
  expect(asleep).toEqual([]);
});

it('waits until as many wait as are wanted, and no longer', async () => {
  const { gathering, states, wait } = setUp();
  wait(2);
  gathering.add('one');
  await settled();
  expect(states).toEqual([]);
  gathering.add('two');
  await settled();
  expect(states).toEqual(['over at 2']);
});

it('waits no longer than it was told, for however few', async () => {
  const { gathering, asleep, states, wait } = setUp();
  wait(2);
  gathering.add('one');
  expect(asleep).toMatchObject([{ ms: 3 }]);
  asleep[0]?.wake();
  await settled();
  expect(states).toEqual(['over at 1']);
});

it('keeps the order of those that wait, and forgets those that left', () => {
  const { gathering } = setUp();
  for (const name of ['one', 'two', 'three']) gathering.add(name);
  gathering.remove(['two']);
  expect(gathering.waiting()).toEqual(['one', 'three']);
});
