import { Hono } from 'hono';
import { registerProbes, registerStatusRoutes } from './health/routes.ts';
import { authenticate, rateLimit } from './http/access.ts';
import { failure, unexpected } from './http/answer.ts';
import { registerConsole } from './http/console.ts';
import { type AppEnv, requestContext } from './http/context.ts';
import { registerInventoryRoute } from './inventory/query/routes.ts';
import { registerRevocationRoutes } from './revocation/callers/routes.ts';
import { registerIntake } from './revocation/deliveries/intake.ts';
import { registerDeliveryRoutes } from './revocation/deliveries/routes.ts';
import type { Services } from './services.ts';
import { registerSessionRoutes } from './sessions/sign-in/routes.ts';
import { registerSubjectRoute } from './subjects/query/routes.ts';
import { registerTokenRoutes } from './tokens/routes.ts';
import { registerWorkspaceRoute, WORKSPACE } from './tokens/workspaces.ts';
import { registerLogRoutes } from './trail/log/routes.ts';
import { registerResumeRoute } from './trail/log/resume-route.ts';
import { registerAuditRoutes } from './trail/query/routes.ts';

/** The paths that need a caller. PipeOps' list of workspaces is outside its `/api`, so it is named by itself. */
const PROTECTED_PATHS = ['/api/*', WORKSPACE];

/** The service over HTTP. Middleware and routes stand in the order in which a request meets them. */
export function createApp(services: Services): Hono<AppEnv> {
  const app = new Hono<AppEnv>();

  // Every request gets an id, a log line, and an answer in PipeOps' envelope.
  app.use(requestContext(services.runtime, services.policyVersion));
  app.onError(unexpected(services.runtime));
  app.notFound((c) => failure(c, { kind: 'route_not_found' }));

  // GET /healthz and /readyz are open to anyone.
  registerProbes(app, services.health);

  // The console's page, which signs in by itself.
  registerConsole(app, services.assets);

  // POST /webhooks/{source} is open to whoever signs.
  registerIntake(app, services.webhooks, services.orders);

  // GET /auth/login and /auth/callback, POST /auth/logout: people sign in to the console by their browser.
  registerSessionRoutes(app, services.signIn);

  // Everything below needs a JWT of a configured issuer or a session, and a caller that does not ask too often.
  for (const path of PROTECTED_PATHS) {
    app.use(path, authenticate(services.authentication), rateLimit(services.callerLimit, services.runtime));
  }

  // The tokens: create, list, get, update, revoke, rotate.
  registerTokenRoutes(app, services.tokens, services.defaultWorkspaceUuid, services.orders);

  // The audit trail: query, one event, export, counts, and a token's life.
  registerAuditRoutes(app, services.trail, services.tokens, services.defaultWorkspaceUuid);

  // The transparency log over the trail: its files, and receipts.
  registerLogRoutes(app, services.logReading);
  // A new log of the trail, in the place of one that is stopped.
  registerResumeRoute(app, services.resume);

  // What became of webhook deliveries, and their retry.
  registerDeliveryRoutes(app, services.webhooks, services.orders);

  // The button for an incident: revocations and reinstatements by a caller.
  registerRevocationRoutes(app, services.webhooks, services.orders);

  // Who owns tokens, and who is blocked.
  registerSubjectRoute(app, services.trail);

  // Which tokens there are, whose they are and how they age.
  registerInventoryRoute(app, services.inventory);

  // Who the caller is, and how the service is.
  registerStatusRoutes(app, services.health);

  // The workspaces that a caller may use, as PipeOps' CLI asks for them.
  registerWorkspaceRoute(app, services.workspaces);

  return app;
}
