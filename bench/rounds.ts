import { median } from './statistics.ts';

/** Something that is measured once a round. Rounds count from 0; one before that warms up. */
export type Step<Name extends string, T> = readonly [name: Name, measure: (round: number) => Promise<T>];

interface Between {
  /** Whether a round that does not count comes first; default: yes. */
  readonly warmsUp?: boolean;
  /** Is done after each round. */
  readonly between?: () => Promise<void>;
}

/**
 * Takes steps one after the other, in rounds, in alternating order: whatever else the machine does hits all of them alike.
 *
 * @returns what each step gave, by its name, round by round.
 */
export async function interleave<Name extends string, T>(
  steps: readonly Step<Name, T>[],
  rounds: number,
  { warmsUp = true, between = async () => {} }: Between = {},
): Promise<ReadonlyMap<Name, readonly T[]>> {
  const results = new Map<Name, T[]>(steps.map(([name]) => [name, []]));
  for (let round = warmsUp ? -1 : 0; round < rounds; round += 1) {
    for (const [name, measure] of round % 2 === 0 ? steps : steps.toReversed()) {
      const result = await measure(round);
      if (round >= 0) results.get(name)?.push(result);
    }
    await between();
  }
  return results;
}

/** The median of the ratios of each round: of a figure to another's of the same round. */
export const medianRatio = (figures: readonly number[], to: readonly number[]): number =>
  median(figures.map((figure, round) => figure / (to[round] ?? Number.NaN)));
