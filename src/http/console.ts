import type { Context, Hono } from 'hono';
import { failure } from './answer.ts';
import type { AppEnv } from './context.ts';

/** The files that are deployed with the Worker. */
export interface Assets {
  fetch(request: Request): Promise<Response>;
}

const CONSOLE = '/console';
/** A file under this path exists or does not. It is no page of the console. */
const CONSOLE_ASSETS = `${CONSOLE}/assets/`;

/**
 * Serves the console's one page for each of its paths, and leads `/` to it. The page and its files are assets, which Cloudflare serves
 * without the Worker; what comes here is a path that only the page's own script knows.
 *
 * @param assets null: the Worker is deployed without them, and there is no console.
 */
export function registerConsole(app: Hono<AppEnv>, assets: Assets | null): void {
  if (assets === null) return;
  const page = async (c: Context<AppEnv>): Promise<Response> => {
    if (c.req.path.startsWith(CONSOLE_ASSETS)) return failure(c, { kind: 'route_not_found' });
    const found = await assets.fetch(new Request(new URL(CONSOLE, c.req.url)));
    // The headers of a fetched answer cannot be changed, and the service's own go on every answer.
    return new Response(found.body, found);
  };
  app.get('/', (c) => c.redirect(CONSOLE));
  app.get(CONSOLE, page);
  app.get(`${CONSOLE}/*`, page);
}
