import { runLoad, type Load, type LoadFigures } from './load.ts';
import { median } from './statistics.ts';

/** What several loads were like, by their names, round by round. */
export type Rounds<Name extends string> = ReadonlyMap<Name, readonly LoadFigures[]>;

/**
 * Runs loads one after the other, in rounds, in alternating order: whatever else the machine does hits all of them
 * alike. The first round warms up and does not count.
 *
 * @param between is done after each round.
 */
export async function interleave<Name extends string>(
  loads: Readonly<Record<Name, Load>>,
  rounds: number,
  between: () => Promise<void> = async () => {},
): Promise<Rounds<Name>> {
  const entries = Object.entries<Load>(loads).map(([name, load]) => ({
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- these are the keys of that very object
    name: name as Name,
    load,
    figures: [] as LoadFigures[],
  }));
  for (let round = -1; round < rounds; round += 1) {
    for (const { load, figures } of round % 2 === 0 ? entries : entries.toReversed()) {
      const measured = await runLoad(load);
      if (round >= 0) figures.push(measured);
    }
    await between();
  }
  return new Map(entries.map(({ name, figures }) => [name, figures]));
}

type Figure = Exclude<keyof LoadFigures, 'answers'>;

export const medianOf = <Name extends string>(rounds: Rounds<Name>, name: Name, figure: Figure): number =>
  median((rounds.get(name) ?? []).map((figures) => figures[figure]));

/** The median of the ratios of each round. */
export function ratioOf<Name extends string>(rounds: Rounds<Name>, name: Name, to: Name, figure: Figure): number {
  const base = rounds.get(to) ?? [];
  return median(
    (rounds.get(name) ?? []).map((figures, round) => figures[figure] / (base[round]?.[figure] ?? Number.NaN)),
  );
}
