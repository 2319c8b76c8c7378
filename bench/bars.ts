import { printTable } from './print.ts';

/** A promise about a figure, and whether this run kept it. */
export interface Bar {
  readonly name: string;
  readonly figure: string;
  /** What the figure must be. */
  readonly bar: string;
  readonly kept: boolean;
}

/** A figure that is not one keeps no bar. */
export const atMost = (name: string, figure: number, most: number, unit = ''): Bar => ({
  name,
  figure: worded(figure, unit),
  bar: `≤ ${worded(most, unit)}`,
  kept: figure <= most,
});

export const atLeast = (name: string, figure: number, least: number, unit = ''): Bar => ({
  name,
  figure: worded(figure, unit),
  bar: `≥ ${worded(least, unit)}`,
  kept: figure >= least,
});

/** For parts that print their figures themselves: all of them in one. */
export const judged = (name: string, kept: boolean): Bar => ({ name, figure: 'above', bar: 'see its table', kept });

/** Prints each with its figure; false: one of them is not kept. */
export function printBars(bars: readonly Bar[], parts: readonly string[]): boolean {
  console.log('The bars:');
  printTable(
    `bars of ${parts.join(', ')}`,
    bars.map(({ name, figure, bar, kept }) => ({ what: name, figure, bar, '': kept ? 'kept' : '**missed**' })),
  );
  return bars.every(({ kept }) => kept);
}

export const round2 = (value: number): number => Math.round(value * 100) / 100;

const worded = (value: number, unit: string): string => `${round2(value)}${unit === '' ? '' : ` ${unit}`}`;
