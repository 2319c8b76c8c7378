import { expect, it } from 'vitest';
import { defences } from './defences/index.ts';
import { CHECKOUT, staleness } from './tree.ts';

// `npm run prove` takes a quarter of an hour: that its list has fallen behind the source shows here, with the change that did it.

it('every defence of the list stands in the source once, and its tests are there', async () => {
  const stale = await Promise.all(
    defences.map(async (defence) => ({ name: defence.name, reason: await staleness(CHECKOUT, defence) })),
  );
  expect(defences.length).toBeGreaterThan(0);
  expect(stale.filter(({ reason }) => reason !== null)).toEqual([]);
});
