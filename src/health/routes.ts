import type { Hono } from 'hono';
import { credentialExpiryMs } from '../config/admin-credential.ts';
import { rfc3339OrNull } from '../times.ts';
import type { Recorder } from '../audit/recorder.ts';
import type { Database } from '../db/database.ts';
import type { AppEnv } from '../http/app-env.ts';
import { authorise } from '../http/authorise.ts';
import { failure, success } from '../http/envelope.ts';
import { methodNotAllowed } from '../http/method-not-allowed.ts';
import { noParameters } from '../http/no-parameters.ts';
import type { Runtime } from '../runtime.ts';
import { readOpenAttempts } from './open-attempts.ts';
import { createReadiness, nearlyFull } from './readiness.ts';

export interface HealthDependencies {
  readonly database: Database;
  readonly recorder: Recorder;
  readonly runtime: Runtime;
  /** PipeOps admin credentials, in the order they are tried: for their expiry alone. */
  readonly credentials: readonly string[];
}

/** For load balancers and alerts: nothing about any caller, no protection, no call to PipeOps. */
export function registerProbes(app: Hono<AppEnv>, { database, runtime }: HealthDependencies): void {
  const readiness = createReadiness(database, runtime);

  app.get('/healthz', noParameters, (c) => success(c, 'The process runs.', { healthy: true }));
  app.get('/readyz', noParameters, async (c) => {
    const { ready, notReady, degraded, openAttempts } = await readiness();
    if (!ready) return failure(c, { kind: 'not_ready', names: notReady });
    const message = degraded.length > 0 ? `Ready, but not for long: ${degraded.join(', ')}.` : 'Ready.';
    return success(c, message, { ready, not_ready: notReady, degraded, open_attempts: openAttempts });
  });
  app.all('/healthz', methodNotAllowed('GET'));
  app.all('/readyz', methodNotAllowed('GET'));
}

/** What a caller may do, for itself; and how the service is, for those who may read the trail. */
export function registerStatusRoutes(app: Hono<AppEnv>, health: HealthDependencies): void {
  const { database, recorder, runtime, credentials } = health;

  app.get('/api/v1/whoami', noParameters, (c) => {
    const { issuer, subject, label, actorType, roles } = c.get('caller');
    return success(c, 'You are known here.', {
      issuer,
      subject,
      label,
      actor_type: actorType,
      roles: roles.map(({ name, permissions, tokens, workspaces, scopes, maxTtlSeconds }) => ({
        name,
        permissions,
        tokens,
        workspaces,
        scopes,
        max_ttl_seconds: maxTtlSeconds,
      })),
    });
  });

  app.get('/api/v1/status', authorise(recorder, 'audit:read', 'status.read'), noParameters, async (c) => {
    const open = await readOpenAttempts(database, runtime, c.get('context'));
    if (!open.ok) return failure(c, { kind: 'audit_unavailable' });
    return success(c, 'Status of this service.', {
      open_attempts: {
        count: open.value.count,
        oldest_at: rfc3339OrNull(open.value.oldestMs),
      },
      credentials: credentials.map((credential) => ({ expires_at: rfc3339OrNull(credentialExpiryMs(credential)) })),
      d1_bytes: database.sizeBytes(),
      d1_nearly_full: nearlyFull(database),
    });
  });

  app.all('/api/v1/whoami', methodNotAllowed('GET'));
  app.all('/api/v1/status', methodNotAllowed('GET'));
}
