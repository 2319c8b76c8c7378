import type { AuditEvent } from '../../../package/client/types.ts';
import {
  code,
  type Deed,
  deed,
  eventLink,
  isRecord,
  listed,
  number,
  otherToken,
  type Part,
  type Piece,
  text,
  textIn,
  texts,
  tokenOf,
  type Whole,
} from './parts.ts';

// What events about one token tell.

const withScopes = (event: AuditEvent, name = 'scopes'): readonly Piece[] => {
  const scopes = texts(event, name);
  const preset = name === 'scopes' ? text(event, 'preset') : null;
  const all = [
    ...(preset === null ? [] : ['the preset ', code(preset)]),
    ...(preset === null || scopes.length === 0 ? [] : [' and ']),
  ];
  return scopes.length === 0 && preset === null ? [] : [' with ', ...all, ...listed(scopes.map(code))];
};
const until = (event: AuditEvent): readonly Piece[] => {
  const at = text(event, 'granted_expires_at') ?? text(event, 'expires_at');
  return at === null ? [] : [', until ', { kind: 'time', at }];
};

/** What a webhook, an offboarding or a rotation gives as the cause of a change. */
function because(event: AuditEvent): readonly Piece[] {
  const delivery = text(event, 'delivery_id');
  const of = (words: string): Piece =>
    delivery === null
      ? words
      : { kind: 'delivery', id: delivery, text: words, isByCaller: event.actor.type !== 'webhook' };
  switch (text(event, 'event') ?? '') {
    case 'token.leaked':
      return [', since ', of('its secret leaked')];
    case 'subject.offboarded':
      return [', since ', of('its owner was offboarded')];
    case 'token.revoke':
      return [', as ', of('it ordered')];
  }
  if (event.detail['reappeared'] === true) return [', which came back'];
  if (text(event, 'undelivered_create') !== null) {
    return [', since ', eventLink(text(event, 'undelivered_create'), 'its secret reached nobody')];
  }
  if (text(event, 'overtaken') !== null)
    return [', to undo ', eventLink(text(event, 'overtaken'), 'a change that came too late')];
  return [];
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
    const old: Part = { kind: 'token', workspaceUuid: event.workspace_uuid, tokenId: replaced, name: event.token_name };
    const successor =
      event.status === 'success' ? ['; ', otherToken(event, event.token_id, 'another token'), ' takes its place'] : [];
    return deed('rotated', 'rotate', old, ...successor);
  }
  const first = text(event, 'idempotent_of');
  if (first !== null && event.status === 'success') {
    return deed('got', 'get', token, ' again, by repeating ', eventLink(first, 'the request that created it'));
  }
  return deed('created', 'create', token, ...withScopes(event), ...until(event));
}

export function update(event: AuditEvent): Deed | Whole {
  const token = tokenOf(event);
  const { detail } = event;
  if (event.error_code === 'revocation_contradicted') {
    return { whole: [token, ' is still active at PipeOps, which had acknowledged its suspension'] };
  }
  if (detail['is_active'] === false) {
    const unused = detail['unused'] !== undefined ? [', which nobody uses'] : [];
    return deed('suspended', 'suspend', token, ...unused, ...because(event));
  }
  const left = texts(event, 'still_suspended_by');
  if (left.length > 0) {
    return deed(
      'lifted',
      'lift',
      'a reason of the suspension of ',
      token,
      '; it stays suspended by ',
      ...listed(left.map(code)),
    );
  }
  if (detail['is_active'] === true) return deed('resumed', 'resume', token);
  const scopes = texts(event, 'scopes');
  const isOnlyScopes = detail['name'] === undefined && detail['description_sha256'] === undefined;
  if (scopes.length > 0 && isOnlyScopes)
    return deed('gave', 'give', token, ' other scopes: ', ...listed(scopes.map(code)));
  if (detail['name'] === true && scopes.length === 0) return deed('renamed', 'rename', 'a token to ', token);
  if (detail['description_sha256'] !== undefined && scopes.length === 0) {
    return deed('described', 'describe', token, ' anew');
  }
  // By the system: an order of which PipeOps was heard late.
  if (text(event, 'order_id') !== null) return deed('suspended', 'suspend', token, ' after all');
  return deed('changed', 'change', token, ...withScopes(event));
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
  if (detail['already_gone'] === true) return deed('found', 'revoke', token, ' gone already', ...because(event));
  if (detail['expired'] === true) return deed('found', 'revoke', token, ' expired', ...because(event));
  const successor = text(event, 'replaced_by');
  if (successor !== null)
    return deed('revoked', 'revoke', token, ', which ', otherToken(event, successor, 'its successor'), ' has replaced');
  if (text(event, 'order_id') !== null) return deed('revoked', 'revoke', token, ' after all');
  return deed('revoked', 'revoke', token, ...because(event));
}

export function expiring(event: AuditEvent): Whole {
  const days = number(event, 'days');
  const owner = event.detail['owner'];
  const of = isRecord(owner)
    ? {
        kind: 'person' as const,
        issuer: textIn(owner, 'issuer'),
        subject: textIn(owner, 'subject'),
        label: textIn(owner, 'label'),
      }
    : null;
  const when = days === null ? ' expires soon' : days === 1 ? ' expires within a day' : ` expires within ${days} days`;
  return { whole: [tokenOf(event), ...(of === null ? [] : [' of ', of]), when] };
}
