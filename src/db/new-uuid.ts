import { sql } from 'drizzle-orm';

const hex = (bytes: number) => sql.raw(`lower(hex(randomblob(${bytes})))`);

/** A random UUID (RFC 9562 §5.4) made by the database, where rows are inserted whose number is not known before. */
export const newUuid = sql`${hex(4)} || '-' || ${hex(2)} || '-4' || substr(${hex(2)}, 2) || '-a' || substr(${hex(2)}, 2) || '-' || ${hex(6)}`;
