import * as z from 'zod';
import type { FieldErrors } from './wire.ts';
import { rfc3339 } from './wire.ts';

// Unknown fields are ignored, as a Go controller does: whoever sends `permissions` or `expires_in` on create gets a
// token without them.

const name = z.string().min(1, 'name is required').max(255, 'name is too long');
const description = z.string().max(1_000, 'description is too long');
const scope = z.string().regex(/^[a-z][a-z0-9_-]*(?::[a-z][a-z0-9_-]*)*$/, 'scope is not valid');

/** PipeOps names its presets and not what they stand for; these are guesses. */
export const PRESETS: Readonly<Record<string, readonly string[]>> = {
  sandbox: ['api:read', 'api:write'],
  mcp: ['api:read'],
  sdk: ['api:read', 'api:write'],
  platform: ['api:full'],
};

const expiry = (nowMs: number) =>
  z
    .string()
    .nullish()
    .transform((text, context) => {
      if (!text) return null;
      const ms = z.iso.datetime({ offset: true }).safeParse(text).success ? Date.parse(text) : Number.NaN;
      if (Number.isNaN(ms)) context.addIssue({ code: 'custom', message: 'expires_at must be RFC 3339' });
      else if (ms <= nowMs) context.addIssue({ code: 'custom', message: 'expires_at must be in the future' });
      return Number.isNaN(ms) ? null : rfc3339(ms);
    });

const createSchema = (nowMs: number) =>
  z
    .object({
      name,
      workspace_uuid: z.string().min(1, 'workspace_uuid is required'),
      // The CLI sends null when it was given none.
      scopes: z.array(scope).nullish(),
      preset: z.string().nullish(),
      metadata: z.object({ description: description.nullish() }).nullish(),
      expires_at: expiry(nowMs),
    })
    .transform((body, context) => {
      const preset = body.preset ? PRESETS[body.preset] : [];
      if (preset === undefined) {
        context.addIssue({ code: 'custom', path: ['preset'], message: 'preset is not known' });
        return z.NEVER;
      }
      return {
        name: body.name,
        workspace_uuid: body.workspace_uuid,
        description: body.metadata?.description ?? null,
        scopes: body.scopes?.length ? body.scopes : [...preset],
        expires_at: body.expires_at,
      };
    });

const updateSchema = z
  .object({
    name: name.exactOptional(),
    description: description.exactOptional(),
    scopes: z.array(scope).nullish(),
    permissions: z.array(scope).nullish(),
    is_active: z.boolean().exactOptional(),
  })
  .transform(({ scopes, permissions, ...rest }) => {
    const asked = scopes ?? permissions;
    return { ...rest, ...(asked && { scopes: asked }) };
  });

export type CreateBody = z.infer<ReturnType<typeof createSchema>>;
export type UpdateBody = z.infer<typeof updateSchema>;

export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly errors: FieldErrors };

export const parseCreate = (body: unknown, nowMs: number): Parsed<CreateBody> =>
  parsed(createSchema(nowMs).safeParse(body));
export const parseUpdate = (body: unknown): Parsed<UpdateBody> => parsed(updateSchema.safeParse(body));

function parsed<T>(result: z.ZodSafeParseResult<T>): Parsed<T> {
  if (result.success) return { ok: true, value: result.data };
  const errors: Record<string, string[]> = {};
  for (const { path, message } of result.error.issues) (errors[String(path[0] ?? 'body')] ??= []).push(message);
  return { ok: false, errors };
}
