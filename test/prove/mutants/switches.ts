import { parse } from './mutate.ts';
import type { Mutant } from './edit.ts';

import { SWITCH } from '../worker/agreed.ts';

export interface NumberedMutant extends Mutant {
  readonly number: number;
}

interface Site {
  readonly start: number;
  readonly end: number;
  readonly isStatement: boolean;
  readonly mutants: readonly NumberedMutant[];
}

/**
 * One source that is the original and all of its mutants, by a switch at each place: starting workerd takes longer than
 * the tests of a mutant, so that one start must serve many. Throws if the result does not parse.
 */
export function withSwitches(source: string, mutants: readonly NumberedMutant[]): string {
  const bySite = Map.groupBy(mutants, ({ site }) => `${site.start} ${site.end} ${site.isStatement}`);
  const sites = [...bySite.values()]
    .flatMap((group): readonly Site[] => (group[0] === undefined ? [] : [{ ...group[0].site, mutants: group }]))
    .toSorted((a, b) => a.start - b.start || b.end - a.end || Number(b.isStatement) - Number(a.isStatement));
  const text = render(source, 0, source.length, sites);
  parse(text);
  return text;
}

/** The text between two places. Sites lie beside each other or inside of each other, as the nodes of a tree do. */
function render(source: string, start: number, end: number, sites: readonly Site[]): string {
  let at = start;
  let text = '';
  let rest = sites;
  for (let [site] = rest; site !== undefined; [site] = rest) {
    const { end: siteEnd } = site;
    const inner = rest.slice(1).filter((other) => other.end <= siteEnd);
    rest = rest.slice(1 + inner.length);
    text += source.slice(at, site.start) + switched(site, render(source, site.start, siteEnd, inner));
    at = siteEnd;
  }
  return text + source.slice(at, end);
}

function switched({ isStatement, mutants }: Site, original: string): string {
  const is = (number: number): string => `globalThis.${SWITCH}(${number})`;
  if (isStatement) return `{ if (!${mutants.map(({ number }) => is(number)).join(' && !')}) ${original} }`;
  return `(${mutants.map(({ number, replacement }) => `${is(number)} ? (${replacement}\n) : `).join('')}(${original}\n))`;
}
