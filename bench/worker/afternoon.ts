import { drizzle } from 'drizzle-orm/d1';
import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import { Hono } from 'hono';
import { jwk } from 'hono/jwk';
import type { JwtVariables } from 'hono/jwt';
import type { HonoJsonWebKey } from 'hono/utils/jwt/jws';
import { AUDIENCE, ISSUER } from '../names.ts';
import { farD1, type FarD1 } from './d1-trips.ts';

interface Env {
  readonly DB: D1Database;
  readonly PIPEOPS_API_URL: string;
  readonly PIPEOPS_ADMIN_TOKEN: string;
  readonly KEYS: HonoJsonWebKey[];
}

const auditLog = sqliteTable('audit_log', {
  id: integer().primaryKey(),
  at: integer().notNull(),
  subject: text().notNull(),
  method: text().notNull(),
  path: text().notNull(),
  status: integer().notNull(),
});

let far: FarD1 | undefined;

/** What the service is measured against (b): the same as one would write it in an afternoon. */
const app = new Hono<{ Bindings: Env; Variables: JwtVariables<{ sub: string }> }>();

app.use('/api/*', async (c, next) => {
  const verify = jwk({ keys: c.env.KEYS, alg: ['ES256'], verification: { iss: ISSUER, aud: AUDIENCE } });
  return await verify(c, next);
});

app.all('/api/*', async (c) => {
  const { pathname, search } = new URL(c.req.url);
  const upstream = await fetch(`${c.env.PIPEOPS_API_URL}${pathname}${search}`, {
    method: c.req.method,
    headers: { Authorization: `Bearer ${c.env.PIPEOPS_ADMIN_TOKEN}`, 'Content-Type': 'application/json' },
    body: c.req.raw.body,
  });
  const { sub } = c.get('jwtPayload');
  far ??= farD1(c.env.DB);
  await drizzle(far.d1)
    .insert(auditLog)
    .values({ at: Date.now(), subject: sub, method: c.req.method, path: pathname, status: upstream.status });
  return new Response(upstream.body, { status: upstream.status, headers: { 'Content-Type': 'application/json' } });
});

app.post('/bench/delay', (c) => {
  far ??= farD1(c.env.DB);
  far.delayMs = Number(c.req.query('ms'));
  return c.body(null, 204);
});

app.post('/bench/migrate', async (c) => {
  await c.env.DB.exec(
    'CREATE TABLE audit_log (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, subject TEXT NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL, status INTEGER NOT NULL)',
  );
  return c.body(null, 204);
});

export default app;
