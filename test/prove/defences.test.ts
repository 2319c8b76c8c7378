import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, it } from 'vitest';
import { defences } from './defences/index.ts';
import { equivalents } from './equivalent.ts';
import { changeOf } from './mutants/lines.ts';
import { candidatesOf } from './mutants/mutate.ts';
import { CHECKOUT, staleness } from './tree.ts';

// That these lists have fallen behind the source shows here, with the change that did it.

it('every defence of the list stands in the source once, and its tests are there', async () => {
  const stale = await Promise.all(
    defences.map(async (defence) => ({ name: defence.name, reason: await staleness(CHECKOUT, defence) })),
  );
  expect(defences.length).toBeGreaterThan(0);
  expect(stale.filter(({ reason }) => reason !== null)).toEqual([]);
});

it('every survivor that is accepted is a mutant of the source', async () => {
  const stale = await Promise.all(
    [...Map.groupBy(equivalents, ({ file }) => file)].map(async ([file, ofFile]) => {
      const source = await readFile(path.join(CHECKOUT, file), 'utf8').catch(() => '');
      const changes = candidatesOf(source).map((mutant) => changeOf(source, mutant));
      return ofFile.filter(
        ({ before, after }) => !changes.some((change) => change.before === before && change.after === after),
      );
    }),
  );
  expect(stale.flat()).toEqual([]);
});
