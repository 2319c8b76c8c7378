import * as z from 'zod';
import {
  FAULT_FORMS,
  SAID_FIELDS,
  type Behaviour,
  type Fault,
  type InsertedToken,
  type ListBehaviour,
  type OpenedSession,
  type Said,
  type View,
} from './faults-wire.ts';

// Strict: a misspelt fault or behaviour would be a test that passes because nothing went wrong.

const form = z.enum(FAULT_FORMS);

const fault: z.ZodType<Fault> = z
  .strictObject({
    match: z
      .strictObject({
        method: z.string().exactOptional(),
        workspace_uuid: z.string().exactOptional(),
        path_contains: z.string().exactOptional(),
        credential: z.string().exactOptional(),
        client_id: z.string().exactOptional(),
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

const countOf = z.int().min(0).exactOptional();
const yes = z.literal(true).exactOptional();

const viewFields = {
  lag_ms: countOf,
  frozen: yes,
  young_ms: countOf,
  hide: z.array(z.string()).exactOptional(),
};
const view: z.ZodType<View> = z.strictObject(viewFields);

const listBehaviour: z.ZodType<ListBehaviour> = z
  .strictObject({
    ...viewFields,
    empty: yes,
    lacks_revoked: yes,
    cut: countOf,
    page_size: z.int().min(1).exactOptional(),
    pages: z.union([z.enum(['honoured', 'clamped', 'ignored']), z.literal([400, 422])]).exactOptional(),
    total: z.union([z.enum(['with_revoked', 'none']), z.int().min(0)]).exactOptional(),
  })
  .refine(({ pages, page_size: size }) => pages === undefined || size !== undefined, {
    error: 'pages mean nothing without a page_size',
  });

const saidField = z.enum(SAID_FIELDS);
const said: z.ZodType<Said> = z.strictObject({
  says: z.partialRecord(saidField, z.unknown()).exactOptional(),
  lacks: z.array(saidField).exactOptional(),
});

const behaviour: z.ZodType<Behaviour> = z.strictObject({
  not_found: yes,
  no_rate_headers: yes,
  names_max_chars: z.int().min(1).exactOptional(),
  list: listBehaviour.exactOptional(),
  get: view.exactOptional(),
  usage: z.union([z.enum(['off', 'frozen']), z.strictObject({ back_ms: z.int().min(1) })]).exactOptional(),
  mints: z
    .strictObject({
      scopes: z.array(z.string()).exactOptional(),
      expires_at: z.iso.datetime({ offset: true }).nullable().exactOptional(),
    })
    .exactOptional(),
  update: z.literal('ignored').exactOptional(),
  revoke: z.literal('ignored').exactOptional(),
  answers: z
    .strictObject({
      create: said.exactOptional(),
      update: said.exactOptional(),
      get: said.exactOptional(),
      list: said.exactOptional(),
    })
    .exactOptional(),
  late: z
    .strictObject({
      methods: z.array(z.enum(['POST', 'PATCH', 'DELETE'])).min(1),
      answer: z.union([z.literal(504), z.literal('never')]),
      ms: countOf,
    })
    .exactOptional(),
});

export const behaviourBody = z.strictObject({ workspace_uuid: z.string().min(1), behaviour: behaviour.nullable() });

export const workspaceBody = z.strictObject({ workspace_uuid: z.string().min(1) });

export const insertedToken: z.ZodType<InsertedToken> = z.strictObject({
  workspace_uuid: z.string().min(1),
  name: z.string(),
  scopes: z.array(z.string()).exactOptional(),
  expires_at: z.iso.datetime({ offset: true }).exactOptional(),
  id: z.string().min(1).exactOptional(),
});

export const usedToken = z.strictObject({
  id: z.string().min(1),
  at: z.iso.datetime({ offset: true }).nullable().exactOptional(),
});

export const endedSession = z.strictObject({ credential: z.string().min(1) });

export const openedSession: z.ZodType<OpenedSession> = z.strictObject({
  client_id: z.string().min(1),
  client_secret: z.string().min(1).exactOptional(),
  expires_in: z.int().min(1).exactOptional(),
  refresh_expires_in: z.int().min(1).exactOptional(),
  rotates: z.boolean().exactOptional(),
  ends_old_access: z.boolean().exactOptional(),
});
