import * as z from 'zod';
import { eachOnce, grantName, presetFault, scopeFault, type NameFault } from '../config/grant-names.ts';
import { PRESET_MAX_CHARS, SCOPES_MAX_COUNT, SCOPE_MAX_CHARS } from '../config/limits.ts';
import type { Problems } from '../kit/problems.ts';
import { LIKE_A_MARKER, LIKE_A_SECRET } from './text.ts';

const SCOPE_WORDING: Readonly<Record<NameFault, string>> = {
  secret: LIKE_A_SECRET,
  marker: LIKE_A_MARKER,
  wildcard:
    'Name each scope: none is a pattern. A role whose scopes are "*" has no ceiling, and grants each that is named.',
  form: 'Use a scope such as "api:read": lower case, its parts joined by colons.',
  too_long: `Use at most ${SCOPE_MAX_CHARS} characters.`,
};
const PRESET_FORM = `Use the name of a preset: 1 to ${PRESET_MAX_CHARS} lower-case letters, digits, ".", "-" and "_", the first a letter or digit.`;
const PRESET_WORDING: Readonly<Record<NameFault, string>> = {
  secret: LIKE_A_SECRET,
  marker: LIKE_A_MARKER,
  wildcard: PRESET_FORM,
  form: PRESET_FORM,
  too_long: PRESET_FORM,
};

/** The number comes first: a long list of bad scopes must not make a longer answer. */
export const scopeList = z
  .array(z.unknown(), 'Use a list of texts.')
  .max(SCOPES_MAX_COUNT, `Use at most ${SCOPES_MAX_COUNT} scopes.`)
  .pipe(z.array(grantName(scopeFault, SCOPE_WORDING, 'Use text.')))
  .transform(eachOnce);

/** One of PipeOps' named sets of scopes, such as `sandbox` or `mcp`. */
export const presetName = grantName(presetFault, PRESET_WORDING, 'Use text.');

export interface ScopeFields {
  readonly scopes?: readonly string[] | undefined;
  readonly permissions?: readonly string[] | undefined;
}

/** `scopes`, or `permissions` as PipeOps' SDK calls them; both if they are the same set. Undefined: none given. */
export function readScopes(given: ScopeFields, problems: Problems): readonly string[] | undefined {
  const { scopes, permissions } = given;
  if (scopes !== undefined && permissions !== undefined && !isSameSet(scopes, permissions)) {
    const message = 'Give "scopes" or "permissions", or the same scopes in both.';
    problems.unacceptable('scopes', message);
    problems.unacceptable('permissions', message);
  }
  return scopes ?? permissions;
}

/** Both without duplicates. */
const isSameSet = (some: readonly string[], others: readonly string[]): boolean =>
  some.length === others.length && some.every((one) => others.includes(one));
