import * as z from 'zod';
import type { Role } from '../policy/types.ts';
import { PERMISSIONS } from '../vocabulary.ts';
import { aloneIfAny, dictionary, duration, isAloneIfAny, workspaceList } from './fields.ts';
import { eachOnce, grantName, presetFault, scopeFault, type NameFault } from './grant-names.ts';
import {
  MAX_TOKENS_DEFAULT_COUNT,
  MAX_TOKENS_MAX_COUNT,
  PRESET_MAX_CHARS,
  SCOPES_MAX_COUNT,
  SCOPE_MAX_CHARS,
} from './limits.ts';

/** Starts with a letter: JavaScript moves keys that look like numbers to the front, and the order of roles counts. */
const roleName = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9_-]{0,63}$/, { error: 'is not a name: a letter, then up to 63 letters, digits, _ or -' });

const SCOPE_WORDING: Readonly<Record<NameFault, string>> = {
  secret: 'is not a scope: it looks like a token or a JWT',
  marker: 'is not a scope: it looks like what this service adds to names',
  wildcard: "is not a scope: a scope is exact, never a pattern; '*' alone, in a role, sets no ceiling",
  form: 'is not a scope: small letters, digits, _ . and -, in words joined by colons, with a letter first',
  too_long: `is not a scope: it has more than ${SCOPE_MAX_CHARS} characters`,
};
const PRESET_FORM = `is not a preset: up to ${PRESET_MAX_CHARS} small letters, digits, . _ or -, with a letter or digit first`;
const PRESET_WORDING: Readonly<Record<NameFault, string>> = {
  secret: 'is not a preset: it looks like a token or a JWT',
  marker: 'is not a preset: it looks like what this service adds to names',
  wildcard: PRESET_FORM,
  form: PRESET_FORM,
  too_long: PRESET_FORM,
};

const scope = grantName(scopeFault, SCOPE_WORDING);
const presetName = grantName(presetFault, PRESET_WORDING);

const ceiling = z
  .array(grantName((text) => (text === '*' ? null : scopeFault(text)), SCOPE_WORDING))
  .refine(isAloneIfAny, aloneIfAny)
  .transform(eachOnce)
  .default([]);

const tokenCountError = { error: `is not a whole number from 1 to ${MAX_TOKENS_MAX_COUNT}` };
const tokenCount = z
  .custom<number>((input) => Number.isSafeInteger(input), tokenCountError)
  .refine((count) => count >= 1 && count <= MAX_TOKENS_MAX_COUNT, tokenCountError);

const roleSchema = z
  .strictObject({
    permissions: z.array(z.enum(PERMISSIONS)).min(1, { error: 'is empty: such a role grants nothing' }),
    tokens: z.enum(['own', 'any']).default('own'),
    workspaces: workspaceList,
    scopes: ceiling,
    maxTtl: duration.optional(),
    maxTokens: tokenCount.default(MAX_TOKENS_DEFAULT_COUNT),
  })
  .refine(
    (role) => !role.permissions.includes('audit:read') || (role.tokens === 'any' && role.workspaces.includes('*')),
    {
      path: ['permissions'],
      error: "audit:read counts only beside workspaces: ['*'] and tokens: 'any', since the trail tells of all of them",
      params: { example: "auditor: { permissions: ['audit:read'], tokens: 'any', workspaces: ['*'] }" },
    },
  );

/** `roles`: from an object, in file order. */
export const rolesSchema = dictionary(roleName, roleSchema).transform((roles) =>
  Object.entries(roles).map(([name, { maxTtl, ...grant }]): Role => ({
    name,
    ...grant,
    maxTtlSeconds: maxTtl ?? null,
  })),
);

/** `presets`: the scopes that each stands for, no more than a request may name. */
export const presetsSchema = dictionary(
  presetName,
  z
    .array(scope)
    .min(1)
    .max(SCOPES_MAX_COUNT, { error: `has more than ${SCOPES_MAX_COUNT} scopes, which is all that a request may name` })
    .transform(eachOnce),
);
