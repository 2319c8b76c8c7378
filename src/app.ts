import { Hono } from 'hono';
import { registerAuditRoutes } from './trail/query/routes.ts';
import { registerProbes, registerStatusRoutes } from './health/routes.ts';
import { type AppEnv, requestContext } from './http/context.ts';
import { authenticate, rateLimit } from './http/access.ts';
import { failure, unexpected } from './http/answer.ts';
import type { Services } from './services.ts';
import { registerTokenRoutes } from './tokens/routes.ts';
import { registerWorkspaceRoute, WORKSPACE } from './tokens/workspaces.ts';
import { registerDeliveryRoutes } from './revocation/deliveries/routes.ts';
import { registerIntake } from './revocation/deliveries/intake.ts';

/** What is for callers alone. PipeOps' list of workspaces stands outside its `/api`. */
const PROTECTED_PATHS = ['/api/*', WORKSPACE];

/** The service over HTTP: middleware in order, then routes. */
export function createApp(services: Services): Hono<AppEnv> {
  const app = new Hono<AppEnv>();

  app.use(requestContext(services.runtime));
  app.onError(unexpected(services.runtime));
  app.notFound((c) => failure(c, { kind: 'route_not_found' }));

  registerProbes(app, services.health);
  registerIntake(app, services.webhooks, services.orders);

  for (const path of PROTECTED_PATHS) {
    app.use(path, authenticate(services.authentication), rateLimit(services.callerLimit, services.runtime));
  }
  registerTokenRoutes(app, services.tokens, services.defaultWorkspaceUuid);
  registerAuditRoutes(app, services.trail);
  registerDeliveryRoutes(app, services.webhooks, services.orders);
  registerStatusRoutes(app, services.health);
  registerWorkspaceRoute(app, services.workspaces);

  return app;
}
