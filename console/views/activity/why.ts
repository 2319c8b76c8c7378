import type { AuditEvent } from '../../../package/client/types.ts';

// Why something came to nothing, in words. A code says what kind of failure it is; the detail of its event may say more.

/** Why a role did not suffice, by the reason that the trail records. */
const DENIALS: Readonly<Record<string, string>> = {
  permission: 'no role of theirs has the permission',
  workspace: 'no role of theirs allows it in this workspace',
  ownership: 'the token is somebody else’s',
  scopes: 'no role of theirs allows these scopes',
  preset_unknown: 'no role of theirs knows this preset',
  lifetime: 'no role of theirs allows so long a life',
  overlap: 'no role of theirs allows so long an overlap',
  suspended: 'no role of theirs may lift the reason of the suspension',
};

/** What a code means in an event, where that is more than its name says. */
const CODES: Readonly<Record<string, string>> = {
  no_role: 'The policy gives them no role.',
  subject_blocked: 'They were offboarded.',
  sign_in_failed: 'The sign-in was not finished, or was used before.',
  idempotency_token_gone: 'The token of the first request with its Idempotency-Key had ended.',
  upstream_forbidden: 'PipeOps does not let this service act in the workspace.',
  upstream_rejected: 'PipeOps did not accept it.',
  upstream_disobeyed: 'PipeOps did something else than it was asked to do.',
  outcome_unknown: 'Nobody could find out what became of it. A person decides.',
  revocation_pending: 'The token is being driven to its end.',
  undelivered: 'Its secret reached nobody, so its token is revoked.',
  revocation_contradicted: 'It is ordered again.',
  workspace_unavailable: 'PipeOps answered 404 for the whole workspace for three days.',
  event_not_allowed: 'The policy does not let its source send this.',
};

/**
 * Why an event is a failure, as a sentence.
 *
 * @returns null for what succeeded, or is not known yet.
 */
export function whyOf({ status, error_code, detail, action }: AuditEvent): string | null {
  // A newer service has codes that are not in the list.
  const code: string | null = error_code;
  if (status !== 'failure' || code === null) return null;
  const reason = typeof detail['reason'] === 'string' ? detail['reason'] : '';
  switch (code) {
    case 'forbidden':
      return `Denied: ${DENIALS[reason] ?? 'no role of theirs allows all of it'}.`;
    case 'token_limit_reached':
      return typeof detail['max_tokens'] === 'number'
        ? `Denied: they hold ${detail['max_tokens']} live tokens, as many as their roles allow.`
        : 'Denied: they hold as many live tokens as their roles allow.';
    case 'not_found':
      // The true reason stands in the trail; the caller saw one answer for both.
      if (reason === 'not_readable')
        return 'Denied: no role of theirs may read this token. They were told that there is none.';
      if (action.startsWith('service_account_token.')) return 'There is no such token.';
      break;
    case 'invalid_token':
      return `The JWT was not accepted${inWords(reason)}.`;
    case 'invalid_signature':
      return `The delivery was not accepted${inWords(reason)}.`;
    case 'not_rotatable':
      return `It cannot be rotated${inWords(reason)}.`;
  }
  return CODES[code] ?? sentenceFrom(code);
}

/** A reason behind a sentence, such as `: signature invalid`. */
const inWords = (reason: string): string => (reason === '' ? '' : `: ${reason.replaceAll('_', ' ')}`);

/** A code as a sentence: `upstream_timeout` becomes `PipeOps timeout.`, and `quota_used` of a newer service `Quota used.` */
const sentenceFrom = (name: string): string => {
  const words = name.replace('upstream', 'PipeOps').replaceAll('_', ' ');
  return `${words.slice(0, 1).toUpperCase()}${words.slice(1)}.`;
};
