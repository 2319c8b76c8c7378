import { Hono } from 'hono';
import { proxy } from 'hono/proxy';

interface Env {
  readonly PIPEOPS_API_URL: string;
  readonly PIPEOPS_ADMIN_TOKEN: string;
}

/** What the service is measured against (a): the least that hides the credential. It asks nobody and records nothing. */
const app = new Hono<{ Bindings: Env }>();

app.all('/api/*', async (c) => {
  const { pathname, search } = new URL(c.req.url);
  return await proxy(`${c.env.PIPEOPS_API_URL}${pathname}${search}`, {
    raw: c.req.raw,
    headers: { Authorization: `Bearer ${c.env.PIPEOPS_ADMIN_TOKEN}`, 'Content-Type': c.req.header('Content-Type') },
  });
});

export default app;
