import { isObject } from './json.ts';

/**
 * One text for all forms of the same JSON value: the names of objects in order, no white space (RFC 8785 §3.2). A value
 * nests no deeper than `REQUEST_JSON_MAX_DEPTH`.
 */
export const canonicalJson = (value: unknown): string => JSON.stringify(inOrder(value));

function inOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inOrder);
  if (!isObject(value)) return value;
  const names = Object.keys(value).toSorted();
  // Not assigned one by one: a name may be __proto__.
  return Object.fromEntries(names.map((name) => [name, inOrder(value[name])]));
}
