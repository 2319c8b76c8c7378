import * as z from 'zod';
import { FAULT_FORMS, type Fault, type InsertedToken } from './faults-wire.ts';

// Strict: a misspelt fault would be a test that passes because nothing went wrong.

const form = z.enum(FAULT_FORMS);

const fault: z.ZodType<Fault> = z
  .strictObject({
    match: z
      .strictObject({
        method: z.string().exactOptional(),
        workspace_uuid: z.string().exactOptional(),
        path_contains: z.string().exactOptional(),
        credential: z.string().exactOptional(),
      })
      .exactOptional(),
    times: z.int().min(1).exactOptional(),
    status: z.int().min(200).max(599).exactOptional(),
    headers: z.record(z.string(), z.string()).exactOptional(),
    body: z.unknown().exactOptional(),
    html: z.boolean().exactOptional(),
    redirect: z.string().exactOptional(),
    commit: z.boolean().exactOptional(),
    delay_ms: z.int().min(-1).exactOptional(),
    drop: z.enum(['before_commit', 'after_commit']).exactOptional(),
    truncate_body: z.boolean().exactOptional(),
    form: z.union([form, z.array(form)]).exactOptional(),
    partial: z.int().min(0).exactOptional(),
  })
  .refine(({ drop, commit, truncate_body }) => drop !== 'before_commit' || !(commit || truncate_body), {
    error: 'a connection dropped before the commit leaves neither an effect nor an answer',
  });

export const faultsBody = z.strictObject({ faults: z.array(fault) });

export const insertedToken: z.ZodType<InsertedToken> = z.strictObject({
  workspace_uuid: z.string().min(1),
  name: z.string(),
  scopes: z.array(z.string()).exactOptional(),
  expires_at: z.iso.datetime({ offset: true }).exactOptional(),
  id: z.string().min(1).exactOptional(),
});

export const endedSession = z.strictObject({ credential: z.string().min(1) });
