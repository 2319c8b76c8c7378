import * as z from 'zod';

const text = z.string().nullable();

/** An event as the API gives it, with all that a line of CSV shows of it. */
export const WireEvent = z.object({
  id: z.string(),
  seq: z.int(),
  occurred_at: z.string(),
  settled_at: text,
  action: z.string(),
  status: z.string(),
  count: z.int(),
  last_at: z.string(),
  actor: z.object({ type: z.string(), issuer: text, subject: text, label: text }),
  workspace_uuid: text,
  token_id: text,
  token_name: text,
  request_id: text,
  ip: text,
  user_agent: text,
  upstream_status: z.int().nullable(),
  error_code: text,
  detail: z.record(z.string(), z.unknown()),
});
