import { OUTCOME_WORKSPACES_MAX_COUNT, OUTCOMES_TOLD_MS } from '../config/limits.ts';
import type { Database, Query } from '../db/database.ts';
import { codeOf, type UpstreamFailure } from '../failures.ts';
import { createBoundedMap } from '../kit/bounded-map.ts';
import type { Runtime } from '../kit/runtime.ts';
import type { ErrorCode, UpstreamTrouble } from '../vocabulary.ts';
import type { AdminCredential, Credentials } from './credentials.ts';
import { endTroubles, writeOutcomes, type EndedTrouble, type OutcomeRow } from './outcome-rows.ts';

// What calls to PipeOps came to, so that whoever runs this service sees that PipeOps is down, or that our credential has ended. An
// isolate notes each of its own calls. What the other isolates and the probes have to know is kept in D1 (`outcome-rows.ts`): it goes
// with batches that are sent anyway, at once where a trouble begins or ends, and else once in OUTCOMES_TOLD_MS.

/** What one request to PipeOps came to. */
export interface CallOutcome {
  readonly credential: AdminCredential;
  readonly workspaceUuid: string;
  /** Null: PipeOps did what it was asked. */
  readonly failure: UpstreamFailure | null;
  /** Whether the request is sent again under another credential, since this one was refused: then it need not be a trouble. */
  readonly isTriedOn?: boolean;
}

export interface Outcomes {
  note(outcome: CallOutcome, nowMs: number): void;
  /**
   * What the others have to know, for a D1 batch that is sent anyway: nearly always nothing. Each thing is given once. Where that batch
   * is lost, the next call after OUTCOMES_TOLD_MS tells it again.
   *
   * @param isForced gives all that was noted since, whenever that was given last.
   */
  news(database: Database, nowMs: number, isForced?: boolean): readonly Query[];
}

/** What an answer says: that PipeOps takes our calls, which trouble it shows, and which troubles it shows to be over. */
interface Meaning {
  readonly isSuccess: boolean;
  readonly trouble: UpstreamTrouble | null;
  readonly ends: readonly UpstreamTrouble[];
}

const ANSWERED: readonly UpstreamTrouble[] = [
  'upstream_unreachable',
  'upstream_rate_limited',
  'admin_credential_rejected',
];
const GOOD: Meaning = { isSuccess: true, trouble: null, ends: [...ANSWERED, 'upstream_forbidden'] };
const UNREACHABLE: Meaning = { isSuccess: false, trouble: 'upstream_unreachable', ends: [] };

/** Says what a call tells of PipeOps. A refusal of the request itself, a 404 or a 422, is as good an answer as any. */
export function meaningOf(failure: UpstreamFailure | null): Meaning {
  switch (failure?.kind) {
    case undefined:
    case 'upstream_rejected':
    case 'upstream_disobeyed':
      return GOOD;
    case 'upstream_not_found':
      // It may be about the workspace.
      return { isSuccess: true, trouble: null, ends: ANSWERED };
    case 'upstream_forbidden':
      return { isSuccess: false, trouble: 'upstream_forbidden', ends: ANSWERED };
    case 'upstream_rate_limited':
      // PipeOps may count calls before it looks at the credential.
      return { isSuccess: false, trouble: 'upstream_rate_limited', ends: ['upstream_unreachable'] };
    case 'upstream_credential_rejected':
      return { isSuccess: false, trouble: 'admin_credential_rejected', ends: ['upstream_unreachable'] };
    case 'upstream_timeout':
    case 'upstream_unreachable':
    case 'upstream_error':
    case 'upstream_invalid_response':
      return UNREACHABLE;
  }
}

/** A trouble as this isolate has seen it. */
interface Trouble {
  readonly kind: UpstreamTrouble;
  readonly subject: string;
  /** When it began; null once it is over. */
  readonly sinceMs: number | null;
  readonly lastAtMs: number;
  readonly code: ErrorCode;
  readonly status: number | null;
  /** Whether D1 has not heard of its last time. */
  readonly isNews: boolean;
  /** Whether the log has told of it. */
  readonly isLogged: boolean;
}

export function createOutcomes(credentials: Pick<Credentials, 'inOrder'>, runtime: Pick<Runtime, 'log'>): Outcomes {
  // The workspaces that PipeOps refuses may be many; the other troubles are a handful.
  const troubles = createBoundedMap<Trouble>({ maxCount: OUTCOME_WORKSPACES_MAX_COUNT });
  const ended = createBoundedMap<EndedTrouble>({ maxCount: OUTCOME_WORKSPACES_MAX_COUNT });
  let success: { readonly outcome: CallOutcome; readonly atMs: number; readonly isNews: boolean } | null = null;
  let told: { readonly signature: string; readonly atMs: number } | null = null;
  let isNoted = false;

  const end = (kind: UpstreamTrouble, subject: string, nowMs: number): void => {
    const key = keyOf(kind, subject);
    const known = troubles.get(key);
    // The clock may have stepped back since, and what is over is over.
    const atMs = Math.max(nowMs, known?.lastAtMs ?? 0);
    ended.set(key, { kind, subject, atMs });
    if (known === undefined || known.sinceMs === null) return;
    troubles.set(key, { ...known, sinceMs: null, isLogged: false });
    if (known.isLogged) runtime.log({ level: 'info', event: 'upstream_recovered', reason: kind });
  };

  const begin = (kind: UpstreamTrouble, outcome: CallOutcome, failure: UpstreamFailure, nowMs: number): void => {
    const subject = subjectOf(kind, outcome);
    const key = keyOf(kind, subject);
    const known = troubles.get(key);
    const status = 'status' in failure ? failure.status : null;
    const code = codeOf(failure);
    const wasLogged = known?.isLogged === true;
    const isLogged = wasLogged || outcome.isTriedOn !== true;
    const sinceMs = known?.sinceMs ?? nowMs;
    troubles.set(key, { kind, subject, sinceMs, lastAtMs: nowMs, code, status, isNews: true, isLogged });
    if (wasLogged || !isLogged) return;
    runtime.log({
      level: 'warn',
      event: 'upstream_degraded',
      reason: kind,
      error_code: code,
      upstream_status: status,
    });
  };

  /** What D1 must hear at once if it changes: which troubles there are and why, and which credential is in use. */
  const signatureNow = (): string => {
    const going = [...troubles.entries()].filter(([, { sinceMs }]) => sinceMs !== null);
    const parts = going.map(([key, { code, status }]) => `${key} ${code} ${status}`);
    return [...parts.toSorted(), success?.outcome.credential.id ?? ''].join('|');
  };

  return {
    note: (outcome, nowMs) => {
      const { failure, credential, workspaceUuid } = outcome;
      const { isSuccess, trouble, ends } = meaningOf(failure);
      isNoted = true;
      if (isSuccess) success = { outcome, atMs: nowMs, isNews: true };
      for (const kind of ends) {
        if (kind !== 'admin_credential_rejected') end(kind, kind === 'upstream_forbidden' ? workspaceUuid : '', nowMs);
        // Another credential that PipeOps accepts is as good.
        else for (const { id } of [credential, ...credentials.inOrder()]) end(kind, id, nowMs);
      }
      if (trouble !== null && failure !== null) begin(trouble, outcome, failure, nowMs);
    },

    news: (database, nowMs, isForced = false) => {
      if (!isNoted) return [];
      const signature = signatureNow();
      const isTold = told !== null && told.signature === signature && Math.abs(nowMs - told.atMs) < OUTCOMES_TOLD_MS;
      if (isTold && !isForced) return [];
      const rows: OutcomeRow[] = [...troubles.entries()].flatMap(([key, { isNews, ...seen }]) => {
        if (!isNews) return [];
        troubles.set(key, { ...seen, isNews: false });
        return [rowOf(seen)];
      });
      if (success?.isNews === true) {
        rows.push(successRow(success.outcome, success.atMs));
        success = { ...success, isNews: false };
      }
      const ends = [...ended.entries()].map(([, one]) => one);
      for (const one of ends) ended.delete(keyOf(one.kind, one.subject));
      told = { signature, atMs: nowMs };
      isNoted = false;
      return [
        // What is over first: it may have begun again since.
        ...(ends.length > 0 ? [endTroubles(database, ends, nowMs)] : []),
        ...(rows.length > 0 ? [writeOutcomes(database, rows, nowMs)] : []),
      ];
    },
  };
}

const keyOf = (kind: UpstreamTrouble, subject: string): string => `${kind} ${subject}`;

/** What a trouble is about: a credential, a workspace, or PipeOps as a whole. */
function subjectOf(kind: UpstreamTrouble, { credential, workspaceUuid }: CallOutcome): string {
  switch (kind) {
    case 'admin_credential_rejected':
      return credential.id;
    case 'upstream_forbidden':
      return workspaceUuid;
    case 'upstream_unreachable':
    case 'upstream_rate_limited':
      return '';
  }
}

const rowOf = ({ kind, subject, sinceMs, lastAtMs, code, status }: Omit<Trouble, 'isNews'>): OutcomeRow => ({
  kind,
  subject,
  since: sinceMs,
  last_at: lastAtMs,
  error_code: code,
  upstream_status: status,
  workspace_uuid: null,
  ends_at: null,
});

const successRow = ({ credential, workspaceUuid }: CallOutcome, atMs: number): OutcomeRow => ({
  kind: 'success',
  subject: credential.id,
  since: null,
  last_at: atMs,
  error_code: null,
  upstream_status: null,
  workspace_uuid: workspaceUuid,
  ends_at: credential.endsAtMs,
});
