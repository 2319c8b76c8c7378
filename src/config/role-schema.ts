import * as z from 'zod';
import type { Role } from '../policy/types.ts';
import { PERMISSIONS } from '../vocabulary.ts';
import { aloneIfAny, dictionary, duration, isAloneIfAny, workspaceList } from './fields.ts';
import { SCOPE_MAX_CHARS } from './limits.ts';

/** Starts with a letter: JavaScript moves keys that look like numbers to the front, and the order of roles counts. */
const roleName = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9_-]{0,63}$/, { error: 'is not a name: a letter, then up to 63 letters, digits, _ or -' });

/** Scopes are compared as whole strings, so a `*` inside one would look like a pattern and be none. */
const scope = z
  .string()
  .regex(/^[!-)+-~]+$/, { error: 'is not a scope: visible ASCII without spaces or *' })
  .max(SCOPE_MAX_CHARS);

const presetName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$/, { error: 'is not a preset: up to 40 letters, digits, . _ or -' });

const ceiling = z
  .array(z.union([z.literal('*'), scope], { error: "is neither a scope nor '*'; a scope is exact, never a pattern" }))
  .refine(isAloneIfAny, aloneIfAny)
  .default([]);

const roleSchema = z
  .strictObject({
    permissions: z.array(z.enum(PERMISSIONS)).min(1, { error: 'is empty: such a role grants nothing' }),
    tokens: z.enum(['own', 'any']).default('own'),
    workspaces: workspaceList,
    scopes: ceiling,
    maxTtl: duration.optional(),
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

/** `presets`: the scopes that each stands for. */
export const presetsSchema = dictionary(presetName, z.array(scope).min(1));
