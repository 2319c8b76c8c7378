import { readdirSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import * as z from 'zod';

const TrailRow = z.object({
  seq: z.int(),
  id: z.string(),
  /** Milliseconds since the epoch. */
  occurred_at: z.int(),
  action: z.string(),
  status: z.enum(['attempted', 'success', 'failure']),
  actor_type: z.string(),
  token_id: z.string().nullable(),
  error_code: z.string().nullable(),
  detail: z.string().nullable(),
  outcome: z.string().nullable(),
});
export type TrailRow = Readonly<z.infer<typeof TrailRow>>;

/** A webhook as it was accepted. */
const DeliveryRow = z.object({ id: z.string(), sender_id: z.string().nullable() });
export type DeliveryRow = Readonly<z.infer<typeof DeliveryRow>>;

const OrderRow = z.object({
  id: z.string(),
  delivery_id: z.string().nullable(),
  token_id: z.string(),
  mode: z.string(),
  state: z.string(),
});
export type OrderRow = Readonly<z.infer<typeof OrderRow>>;

const InventoryRow = z.object({
  token_id: z.string(),
  owner_subject: z.string().nullable(),
  replaces: z.string().nullable(),
  replaced_by: z.string().nullable(),
});
export type InventoryRow = Readonly<z.infer<typeof InventoryRow>>;

const Unsealed = z.object({ events: z.int(), counts: z.int() });

/** The trail as it lies in the file of the embedded database, read beside the running service. */
export interface Trail {
  /** In commit order. */
  readonly rows: () => TrailRow[];
  /** Undefined where no such row is committed. */
  readonly status: (eventId: string) => TrailRow['status'] | undefined;
  /** The row of a caller's or a webhook's mutation that was committed last. */
  readonly latest: () => { readonly seq: number; readonly id: string; readonly status: TrailRow['status'] } | undefined;
  /** What came in by webhook, and what it ordered. */
  readonly deliveries: () => DeliveryRow[];
  readonly orders: () => OrderRow[];
  /** The tokens, and whose they are. */
  readonly inventory: () => InventoryRow[];
  /** How many events no published checkpoint covers, and how many rows may still count reads. */
  readonly unsealed: () => { readonly events: number; readonly counts: number };
  readonly close: () => void;
}

/** @throws unless the service has been started on this state directory at least once. */
export function openTrail(stateDir: string): Trail {
  const folder = path.join(stateDir, 'v3', 'd1', 'miniflare-D1DatabaseObject');
  const files = readdirSync(folder).filter((name) => name.endsWith('.sqlite'));
  for (const file of files) {
    const database = new DatabaseSync(path.join(folder, file), { readOnly: true });
    const isOurs = database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'audit_events'").get() !== undefined;
    if (isOurs) return trailOf(database);
    database.close();
  }
  throw new Error(`no trail under ${folder}`);
}

function trailOf(database: DatabaseSync): Trail {
  const all = database.prepare(
    'SELECT seq, id, occurred_at, action, status, actor_type, token_id, error_code, detail, outcome FROM audit_events ORDER BY seq',
  );
  const one = database.prepare('SELECT status FROM audit_events WHERE id = ?');
  const last = database.prepare(`SELECT seq, id, status FROM audit_events WHERE actor_type <> 'system' AND action IN
      ('service_account_token.create', 'service_account_token.update', 'service_account_token.revoke')
      ORDER BY seq DESC LIMIT 1`);
  const deliveries = database.prepare('SELECT id, sender_id FROM webhook_deliveries ORDER BY seq');
  const orders = database.prepare(
    'SELECT id, delivery_id, token_id, mode, state FROM revocation_orders ORDER BY created_at',
  );
  const inventory = database.prepare('SELECT token_id, owner_subject, replaces, replaced_by FROM tokens');
  const unsealed = database.prepare(`SELECT
      (SELECT coalesce(max(seq), 0) FROM audit_events) - coalesce(max(through_seq), 0) + coalesce(max(size - published_size), 0)
        + (SELECT count(*) FROM trail_pending WHERE awaits = 'leaf') AS events,
      (SELECT count(*) FROM trail_pending WHERE awaits = 'close') AS counts
    FROM trail_logs WHERE number = (SELECT max(number) FROM trail_logs)`);
  return {
    rows: () => z.array(TrailRow).parse(all.all()),
    status: (eventId) => TrailRow.shape.status.optional().parse(one.get(eventId)?.['status']),
    latest: () => TrailRow.pick({ seq: true, id: true, status: true }).optional().parse(last.get()),
    deliveries: () => z.array(DeliveryRow).parse(deliveries.all()),
    orders: () => z.array(OrderRow).parse(orders.all()),
    inventory: () => z.array(InventoryRow).parse(inventory.all()),
    unsealed: () => Unsealed.parse(unsealed.get()),
    close: () => database.close(),
  };
}
