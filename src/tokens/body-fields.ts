import type * as z from 'zod';
import type { Problems } from '../kit/problems.ts';
import { refuseUnknown } from '../http/unknown-names.ts';

/**
 * Reads the fields of a body. What is not in order is reported and left out, so that the rest can still be judged
 * together. Null counts as absent, as PipeOps' CLI means it.
 *
 * @param schema every field optional
 * @param within the path of the object that the fields stand in, such as `metadata.`
 */
export function readFields<S extends z.ZodObject>(
  body: Readonly<Record<string, unknown>>,
  schema: S,
  problems: Problems,
  within = '',
): z.output<S> {
  const known = Object.keys(schema.shape);
  const path = (name: string): string => within + name;
  const unknown = Object.keys(body).filter((name) => !known.includes(name));
  refuseUnknown('field', unknown.map(path), known.map(path), problems);

  const given = Object.entries(body).filter(([name, value]) => known.includes(name) && value !== null);
  const parsed = schema.safeParse(Object.fromEntries(given));
  if (parsed.success) return parsed.data;
  const bad = new Set(parsed.error.issues.map((issue) => String(issue.path[0])));
  for (const issue of parsed.error.issues) problems.unacceptable(path(String(issue.path[0])), describe(issue));
  return schema.parse(Object.fromEntries(given.filter(([name]) => !bad.has(name))));
}

/** In a list, the position is told, counted from 1. */
const describe = ({ message, path: [, index] }: z.core.$ZodIssue): string =>
  typeof index === 'number' ? `Number ${index + 1}: ${message}` : message;
