import { isRecord } from '../../../package/client/failure.ts';
import type { AuditEvent } from '../../../package/client/types.ts';
import {
  code,
  type Deed,
  deed,
  deliveryLink,
  eventLink,
  found,
  listed,
  number,
  otherToken,
  personIn,
  type Piece,
  text,
  texts,
  tokenOf,
  type Whole,
} from './parts.ts';

// What events about one token tell.

const withScopes = (event: AuditEvent): readonly Piece[] => {
  const preset = text(event, 'preset');
  const scopes = texts(event, 'scopes').map(code);
  if (preset === null && scopes.length === 0) return [];
  const named = preset === null ? [] : ['the preset ', code(preset), ...(scopes.length === 0 ? [] : [' and '])];
  return [' with ', ...named, ...listed(scopes)];
};
const until = (event: AuditEvent): readonly Piece[] => {
  const at = text(event, 'granted_expires_at') ?? text(event, 'expires_at');
  return at === null ? [] : [', until ', { kind: 'time', at }];
};

/** What the event of a webhook makes the cause of a change. */
const CAUSES: Readonly<Record<string, readonly [string, string]>> = {
  'token.leaked': [', since ', 'its secret leaked'],
  'subject.offboarded': [', since ', 'its owner was offboarded'],
  'token.revoke': [', as ', 'it ordered'],
};

/** What a webhook, an offboarding or a rotation gives as the cause of a change. */
function because(event: AuditEvent): readonly Piece[] {
  const cause = CAUSES[text(event, 'event') ?? ''];
  if (cause !== undefined) return [cause[0], deliveryLink(event, cause[1], event.actor.type !== 'webhook')];
  if (event.detail['reappeared'] === true) return [', which came back'];
  const [undelivered, overtaken] = [text(event, 'undelivered_create'), text(event, 'overtaken')];
  if (undelivered !== null) return [', since ', eventLink(undelivered, 'its secret reached nobody')];
  return overtaken === null ? [] : [', to undo ', eventLink(overtaken, 'a change that came too late')];
}

export function create(event: AuditEvent): Deed | Whole {
  const token = tokenOf(event);
  if (event.error_code === 'appeared_upstream') {
    return { whole: [token, ' appeared at PipeOps'], why: 'Nobody made it through Countersign.' };
  }
  if (event.error_code === 'reappeared_upstream') {
    return {
      whole: [token, ' is at PipeOps after all'],
      why: 'It was taken for gone, since two looks had not shown it.',
    };
  }
  const replaced = text(event, 'replaces');
  if (replaced !== null) {
    const old = otherToken(event, replaced, event.token_name);
    const successor =
      event.status === 'success' ? ['; ', otherToken(event, event.token_id, 'another token'), ' takes its place'] : [];
    return deed('rotate', old, ...successor);
  }
  const first = text(event, 'idempotent_of');
  if (first !== null && event.status === 'success') {
    return deed('get', token, ' again, by repeating ', eventLink(first, 'the request that created it'));
  }
  return deed('create', token, ...withScopes(event), ...until(event));
}

export function update(event: AuditEvent): Deed | Whole {
  const token = tokenOf(event);
  const { detail } = event;
  if (event.error_code === 'revocation_contradicted') {
    return { whole: [token, ' is still active at PipeOps, which had acknowledged its suspension'] };
  }
  if (detail['is_active'] === false) {
    const unused = detail['unused'] !== undefined ? [', which nobody uses'] : [];
    return deed('suspend', token, ...unused, ...because(event));
  }
  const left = texts(event, 'still_suspended_by');
  if (left.length > 0) {
    return deed('lift', 'a reason of the suspension of ', token, '; it stays suspended by ', ...listed(left.map(code)));
  }
  if (detail['is_active'] === true) return deed('resume', token);
  const scopes = texts(event, 'scopes');
  const isOnlyScopes = detail['name'] === undefined && detail['description_sha256'] === undefined;
  if (scopes.length > 0 && isOnlyScopes) return deed('give', token, ' other scopes: ', ...listed(scopes.map(code)));
  if (detail['name'] === true && scopes.length === 0) return deed('rename', 'a token to ', token);
  if (detail['description_sha256'] !== undefined && scopes.length === 0) {
    return deed('describe', token, ' anew');
  }
  // By the system: an order of which PipeOps was heard late.
  if (text(event, 'order_id') !== null) return deed('suspend', token, ' after all');
  return deed('change', token, ...withScopes(event));
}

export function revoke(event: AuditEvent): Deed | Whole {
  const token = tokenOf(event);
  const { detail } = event;
  if (event.error_code === 'gone_upstream') {
    return { whole: [token, ' is gone from PipeOps'], why: 'Nobody revoked it through Countersign.' };
  }
  if (event.error_code === 'revocation_contradicted') {
    return { whole: [token, ' is still alive at PipeOps, which had acknowledged its revocation'] };
  }
  if (detail['already_gone'] === true) return found(token, ' gone already', ...because(event));
  if (detail['expired'] === true) return found(token, ' expired', ...because(event));
  const successor = text(event, 'replaced_by');
  if (successor !== null)
    return deed('revoke', token, ', which ', otherToken(event, successor, 'its successor'), ' has replaced');
  if (text(event, 'order_id') !== null) return deed('revoke', token, ' after all');
  return deed('revoke', token, ...because(event));
}

export function expiring(event: AuditEvent): Whole {
  const days = number(event, 'days');
  const owner = event.detail['owner'];
  const of = isRecord(owner) ? [' of ', personIn(owner)] : [];
  const when = days === null ? 'soon' : days === 1 ? 'within a day' : `within ${days} days`;
  return { whole: [tokenOf(event), ...of, ` expires ${when}`] };
}
