import { sql } from 'drizzle-orm';
import { index, integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import { TOKEN_ENDS } from '../vocabulary.ts';

// The tables of the inventory: tokens, and how many each owner has. `schema.ts` says how rows are written here, and exports these tables
// too.

/** The inventory: which tokens exist, and who owns them. PipeOps knows no owners. */
export const tokens = sqliteTable(
  'tokens',
  {
    workspace_uuid: text().notNull(),
    token_id: text().notNull(),
    owner_issuer: text(),
    owner_subject: text(),
    marker: text(),
    /** The id of its create in the trail. */
    create_event_id: text(),
    created_at: integer().notNull(),
    expires_at: integer(),
    /** When its end was known; `ended_by` says how. */
    revoked_at: integer(),
    /** How its end is known; null where it has none, and where an earlier version of this service believed a single list. */
    ended_by: text({ enum: TOKEN_ENDS }),
    /** When the first of the two looks began that prove its absence (`src/inventory/absence.ts`); null since it was last seen. */
    unseen_at: integer(),
    /** The owner's label in the form in which labels are compared. */
    owner_label: text(),
    /** The MAC of the token and its owner (`src/inventory/owner-macs.ts`); null where it has no owner, or the Worker had no secret for it. */
    owner_mac: text(),
    /** The beginning of the secret, which PipeOps shows. */
    token_prefix: text(),
    /** The HMAC over the SHA-256 of the secret, and the id of its key. A leaked secret is recognised by it. */
    fingerprint: text(),
    fingerprint_key_id: text(),
    /** Why it is suspended, as a JSON list of SUSPENSION_REASONS; null where this service did not suspend it. */
    suspended_by: text(),
    /** The name without its marker. */
    name: text(),
    /** The scopes that were granted, as a JSON list, by its create or a later update; null where this service granted none. */
    scopes: text(),
    /** How long it was to live when it was minted; null: without expiry, or minted before this was kept. */
    lifetime_seconds: integer(),
    /** The role that allowed its create, and the version of the policy that the role stood in. */
    role: text(),
    policy_version: text(),
    /** The token of the same workspace that it took the place of by a rotation, and the one that took its place. */
    replaces: text(),
    replaced_by: text(),
    /** The create in the trail that rotates it, or that tried to. While that is open no other rotation begins. */
    rotation_event_id: text(),
    /** When it is to be revoked, since a rotation has replaced it. */
    retires_at: integer(),
    /** When the next notice of its expiry is due; null: none is left. */
    expiry_notice_at: integer(),
    /** When PipeOps last saw it used, as a list told, and when the list began that last told something new, or a nightly one within a week. */
    last_used_at: integer(),
    usage_seen_at: integer(),
    /** How many nightly looks in a row saw no later use, and when the first of them began. */
    usage_sweeps: integer(),
    usage_since: integer(),
    /** When its time of last use went back or vanished. From then on it proves nothing. */
    usage_doubted_at: integer(),
  },
  (table) => [
    primaryKey({ columns: [table.workspace_uuid, table.token_id] }),
    // Pages of the inventory come in the order in which tokens were entered, of one workspace or of all.
    index('tokens_workspace').on(table.workspace_uuid),
    // What expires next, of whomever: for pages in that order, and for the counts of `/status`.
    index('tokens_expires')
      .on(table.expires_at)
      .where(sql`${table.revoked_at} is null and ${table.expires_at} is not null`),
    // The cron reads only the tokens whose notice is due.
    index('tokens_expiry_notice')
      .on(table.expiry_notice_at)
      .where(sql`${table.expiry_notice_at} is not null`),
    // Only rotated tokens are in these two.
    index('tokens_replaces')
      .on(table.replaces)
      .where(sql`${table.replaces} is not null`),
    index('tokens_replaced_by')
      .on(table.replaced_by)
      .where(sql`${table.replaced_by} is not null`),
    // A leaver's tokens are found by their owner, and those of its former logins by the label under which they were minted.
    index('tokens_owner')
      .on(table.owner_issuer, table.owner_subject)
      .where(sql`${table.owner_issuer} is not null`),
    // The live tokens of an owner are counted without reading those that have ended, of which there may be any number.
    index('tokens_owner_live')
      .on(table.owner_issuer, table.owner_subject, table.expires_at)
      .where(sql`${table.owner_issuer} is not null and ${table.revoked_at} is null`),
    index('tokens_owner_label')
      .on(table.owner_label)
      .where(sql`${table.owner_label} is not null`),
    index('tokens_fingerprint')
      .on(table.fingerprint)
      .where(sql`${table.fingerprint} is not null`),
    // A person who found the beginning of a secret asks whose it is.
    index('tokens_prefix')
      .on(table.token_prefix)
      .where(sql`${table.token_prefix} is not null`),
    // A list is compared with the tokens that it shows and with those that should be in it. The tokens of a workspace that have ended,
    // which may be thousands, are never read for that. Those that have not expired come first.
    index('tokens_without_end')
      .on(table.workspace_uuid, table.expires_at)
      .where(sql`${table.ended_by} is null`),
    index('tokens_listed_end')
      .on(table.workspace_uuid)
      .where(sql`${table.ended_by} = 'listed'`),
    // `/readyz` asks which keys live tokens still need, and walks over the ids of keys and not over the tokens.
    index('tokens_fingerprint_key')
      .on(table.fingerprint_key_id, table.expires_at)
      .where(sql`${table.revoked_at} is null and ${table.fingerprint_key_id} is not null`),
  ],
);

/**
 * How many live tokens an owner holds in all workspaces together: those whose end is not known and that had not expired at
 * `counted_at`. Triggers on `tokens` count them (`drizzle/0008_token_counts.sql`, which also makes this table and the next one WITHOUT
 * ROWID), so no statement that enters, ends or revives tokens has to. An owner without a row never held a token.
 */
export const tokenCounts = sqliteTable(
  'token_counts',
  {
    owner_issuer: text().notNull(),
    owner_subject: text().notNull(),
    live: integer().notNull(),
    /** Tokens that had expired at this time are not in `live`. */
    counted_at: integer().notNull(),
    /**
     * The most that the owner's roles allowed when it last asked for a token; null if it has not asked since tokens are counted.
     */
    max_tokens: integer(),
  },
  (table) => [
    primaryKey({ columns: [table.owner_issuer, table.owner_subject] }),
    // `/status` reads only the owners above four fifths of what they may hold.
    index('token_counts_near')
      .on(table.live)
      .where(sql`${table.live} * 5 > ${table.max_tokens} * 4`),
  ],
);

/**
 * The creates under way that may mint a token. Each counts like a token of its owner until a trigger of the trail sees its row
 * settled.
 */
export const openCreates = sqliteTable(
  'open_creates',
  {
    owner_issuer: text().notNull(),
    owner_subject: text().notNull(),
    /** The id of the create in the trail. */
    event_id: text().notNull(),
  },
  (table) => [primaryKey({ columns: [table.owner_issuer, table.owner_subject, table.event_id] })],
);

export type TokenRow = typeof tokens.$inferSelect;
