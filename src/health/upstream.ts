import type { RenewalStanding } from '../credential/credentials.ts';
import { rfc3339OrNull } from '../kit/time.ts';
import type { AdminCredential } from '../pipeops/credentials.ts';
import type { OutcomeRow } from '../pipeops/outcome-rows.ts';

// What calls to PipeOps came to and which credential is in use, as `/api/v1/status` shows it.

const latest = (rows: readonly OutcomeRow[]): OutcomeRow | undefined =>
  rows.reduce<OutcomeRow | undefined>((a, b) => (a === undefined || b.last_at >= a.last_at ? b : a), undefined);

/** The last call that PipeOps answered as it should, and the last one of which it did not. Null: nothing is known of one. */
export function presentUpstream(outcomes: readonly OutcomeRow[]) {
  const success = latest(outcomes.filter(({ kind }) => kind === 'success'));
  const failure = latest(outcomes.filter(({ kind }) => kind !== 'success'));
  return {
    last_success_at: rfc3339OrNull(success?.last_at ?? null),
    last_failure:
      failure === undefined
        ? null
        : {
            at: rfc3339OrNull(failure.last_at),
            reason: failure.kind,
            error_code: failure.error_code,
            upstream_status: failure.upstream_status,
            goes_on: failure.since !== null,
          },
  };
}

/** The configured credentials. The one that PipeOps accepted last is in use, whichever isolate asked. */
export function presentCredentials(credentials: readonly AdminCredential[], outcomes: readonly OutcomeRow[]) {
  const ids = new Set(credentials.map(({ id }) => id));
  const inUse = latest(outcomes.filter(({ kind, subject }) => kind === 'success' && ids.has(subject)));
  const lastOf = (kind: OutcomeRow['kind'], id: string): string | null =>
    rfc3339OrNull(outcomes.find((row) => row.kind === kind && row.subject === id)?.last_at ?? null);
  return credentials.map(({ name, id, endsAtMs }) => ({
    name,
    in_use: inUse?.subject === id,
    expires_at: rfc3339OrNull(endsAtMs),
    last_accepted_at: lastOf('success', id),
    last_refused_at: lastOf('admin_credential_rejected', id),
  }));
}

/** How the admin credential renews itself. */
export const presentRenewal = (renewal: RenewalStanding) => ({
  renewals: renewal.counter,
  renewed_at: rfc3339OrNull(renewal.renewedAtMs),
  due_at: rfc3339OrNull(renewal.dueAtMs),
  last_tried_at: rfc3339OrNull(renewal.triedAtMs),
  last_error: renewal.failed,
  lost:
    renewal.lost === null
      ? null
      : { because: renewal.lost.because, since: rfc3339OrNull(renewal.lost.sinceMs), event_id: renewal.eventId },
});
