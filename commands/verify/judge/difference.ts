import { canonicalJson } from '../../../src/kit/digest.ts';
import { isObject } from '../../../src/kit/json.ts';
import { redact } from '../../../src/kit/redaction.ts';
import { printable } from '../../terminal-text.ts';
import { COLUMNS, type Event } from './entries.ts';
import type { Difference } from './findings.ts';

const SHOWN_CHARS = 80;

/** A value for people, shortened. A tampered row may hold anything, a secret too. */
export function shown(value: unknown): string {
  const text = printable(redact(value === undefined ? 'nothing' : canonicalJson(value)));
  return text.length <= SHOWN_CHARS ? text : `${text.slice(0, SHOWN_CHARS - 1)}…`;
}

/** The first column in which two events differ; null: they do not. Of `actor` and `detail` it names the member. */
export function differenceOf(
  sealed: Event,
  exported: Event,
  columns: readonly (keyof Event)[] = COLUMNS,
): Difference | null {
  for (const column of columns) {
    const [one, other] = [sealed[column], exported[column]];
    if (canonicalJson([one]) === canonicalJson([other])) continue;
    if (!isObject(one) || !isObject(other)) return { field: column, sealed: shown(one), exported: shown(other) };
    const names = [...new Set([...Object.keys(one), ...Object.keys(other)])].toSorted();
    const name = names.find((member) => canonicalJson([one[member]]) !== canonicalJson([other[member]])) ?? '';
    return { field: `${column}.${shown(name).slice(1, -1)}`, sealed: shown(one[name]), exported: shown(other[name]) };
  }
  return null;
}
