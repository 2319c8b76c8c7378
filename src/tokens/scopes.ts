import * as z from 'zod';
import { PRESET_MAX_CHARS, SCOPES_MAX_COUNT, SCOPE_MAX_CHARS } from '../config/limits.ts';
import type { Problems } from '../http/problems.ts';
import { safeText } from './text.ts';

/** The shape of every scope seen at PipeOps, such as `api:read` and `deployments:create`. */
const SCOPE = /^[a-z][a-z0-9_.-]*(?::[a-z0-9_.*-]+)*$/;
const PRESET = new RegExp(`^[a-z0-9_-]{1,${PRESET_MAX_CHARS}}$`);

const scope = safeText()
  .refine((text) => SCOPE.test(text), 'Use a scope such as "api:read": lower case, its parts joined by colons.')
  .refine((text) => text.length <= SCOPE_MAX_CHARS, `Use at most ${SCOPE_MAX_CHARS} characters.`);

/** The number comes first: a long list of bad scopes must not make a longer answer. */
export const scopeList = z
  .array(z.unknown(), 'Use a list of texts.')
  .max(SCOPES_MAX_COUNT, `Use at most ${SCOPES_MAX_COUNT} scopes.`)
  .pipe(z.array(scope))
  .transform((scopes): readonly string[] => [...new Set(scopes)]);

/** One of PipeOps' named sets of scopes, such as `sandbox` or `mcp`. */
export const presetName = safeText().refine(
  (text) => PRESET.test(text),
  `Use the name of a preset: 1 to ${PRESET_MAX_CHARS} lower-case letters, digits, "-" and "_".`,
);

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
