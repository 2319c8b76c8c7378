import { type FailureKind, ANYWHERE, WITHOUT_ACCESS } from './failures.ts';
import { inventoryOperations } from './inventory.ts';
import { needsCaller, type Operation } from './operation.ts';
import { resumeOperations } from './resume.ts';
import { revocationOperations } from './revocations.ts';
import { serviceOperations } from './service.ts';
import { signInOperations } from './sign-in.ts';
import { subjectOperations } from './subjects.ts';
import { rotationOperations } from './rotation.ts';
import { tokenOperations } from './tokens.ts';
import { trailOperations } from './trail.ts';
import { trailLogOperations } from './trail-log.ts';
import { webhookOperations } from './webhooks.ts';

/** The table of routes: every operation of the API. A test holds it against the router's own table. */
export const OPERATIONS: readonly Operation[] = [
  ...tokenOperations,
  ...inventoryOperations,
  ...rotationOperations,
  ...trailOperations,
  ...trailLogOperations,
  ...resumeOperations,
  ...webhookOperations,
  ...revocationOperations,
  ...subjectOperations,
  ...serviceOperations,
  ...signInOperations,
];

/** Every way in which an operation may fail, each once. */
export function failuresOf(operation: Operation): readonly FailureKind[] {
  const { access, method, failures } = operation;
  const byAccess: readonly FailureKind[] = needsCaller(operation)
    ? [...WITHOUT_ACCESS, ...(method === 'GET' ? [] : (['cross_site'] as const))]
    : access === 'sender'
      ? ['signature_rejected', 'keys_unavailable']
      : access === 'session'
        ? ['session_ended', 'cross_site']
        : [];
  return [...new Set<FailureKind>([...failures, ...byAccess, ...ANYWHERE])];
}
