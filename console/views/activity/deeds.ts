import type { AuditEvent } from '../../../package/client/types.ts';
import type { AuditAction } from '../../../package/client/vocabulary.ts';
import { count } from '../../parts/figures.ts';
import {
  type Deed,
  deed,
  deliveryLink,
  eventLink,
  number,
  personIn,
  type Piece,
  text,
  tokenOf,
  type Whole,
} from './parts.ts';
import { queryOfDetail } from './question.ts';
import { create, expiring, revoke, update } from './token-deeds.ts';

// What each action tells.

function asked(event: AuditEvent): readonly Piece[] {
  const query = queryOfDetail(event);
  return query === '' ? [] : [' for ', { kind: 'question', query }];
}

function readTrail(event: AuditEvent): Deed {
  const id = text(event, 'event_id');
  const what = id === null ? ['the trail', ...asked(event)] : [eventLink(id, 'an event'), ' of the trail'];
  return deed('read', ...what);
}

function settled(event: AuditEvent): Whole {
  const code = text(event, 'error_code');
  const became = text(event, 'status') === 'success' ? ' succeeded' : ` failed${code === null ? '' : ` (${code})`}`;
  const attempt = eventLink(text(event, 'event_id'), `an attempt (${text(event, 'action') ?? 'unknown'})`);
  const on = event.token_id === null ? [] : [' on ', tokenOf(event)];
  return { whole: ['Countersign learned that ', attempt, ...on, became] };
}

function reject(event: AuditEvent): Deed | Whole {
  const { type, subject } = event.actor;
  if (type === 'webhook') return deed('deliver', 'a webhook');
  if (subject !== null) return deed('call', 'the service');
  return { whole: ['A stranger tried to call the service'] };
}

/** What each event of a webhook tells. */
const REPORTS: Readonly<Record<string, readonly [string, string]>> = {
  'token.leaked': ['report', 'leaked tokens'],
  'token.revoke': ['order', 'tokens to be revoked'],
  'subject.offboarded': ['report', 'that somebody left'],
  'subject.reinstated': ['report', 'that somebody is back'],
};

function receive(event: AuditEvent): Deed {
  const [verb, words] = REPORTS[text(event, 'event') ?? ''] ?? ['deliver', 'a webhook'];
  return deed(verb, deliveryLink(event, words));
}

function retry(event: AuditEvent): Deed {
  const retried = number(event, 'retried');
  const what =
    retried === null ? '' : retried === 0 ? ', of which nothing was left' : `: ${count(retried, 'revocation')}`;
  return deed('retry', deliveryLink(event, 'a delivery'), what);
}

const consequence = (event: AuditEvent): string =>
  text(event, 'mode') === 'suspend' ? ', whose tokens are to be suspended' : ', whose tokens are to be revoked';

function reinstate(event: AuditEvent): Deed {
  const lifted = number(event, 'blocks_lifted');
  const none = lifted === 0 ? ', whom nothing blocked' : '';
  const still = event.detail['still_blocked'] === true ? '; another block still stands' : '';
  return deed('reinstate', personIn(event.detail), none, still);
}

function order(event: AuditEvent): Deed {
  const tokens = number(event, 'tokens');
  return tokens === null
    ? deed('order', deliveryLink(event, 'the offboarding', true), ' of ', personIn(event.detail))
    : deed('order', deliveryLink(event, `the revocation of ${count(tokens, 'token')}`, true));
}

const RENEWALS: Readonly<Record<string, string>> = {
  due: '',
  refused: ', since PipeOps refused it',
  ended: ', since it is not known what became of the last renewal',
};

const renew = (event: AuditEvent): Deed =>
  text(event, 'late_for') === null
    ? deed('renew', 'the admin credential', RENEWALS[text(event, 'because') ?? ''] ?? '')
    : deed('keep', 'the admin credential of ', eventLink(text(event, 'late_for'), 'a renewal that was taken for lost'));

/** `session.*` come with sign-in by browser. */
type Told = AuditAction | 'session.start' | 'session.end';

export const TELLERS: Readonly<Record<Told, (event: AuditEvent) => Deed | Whole>> = {
  'service_account_token.create': create,
  'service_account_token.list': (event) =>
    event.token_id === null ? deed('list', 'tokens') : deed('list', tokenOf(event)),
  'service_account_token.get': (event) =>
    event.detail['life'] === true ? deed('read', 'the life of ', tokenOf(event)) : deed('look at', tokenOf(event)),
  'service_account_token.update': update,
  'service_account_token.revoke': revoke,
  'service_account_token.expiring': expiring,
  'audit.query': readTrail,
  'audit.export': (event) => deed('export', `the trail as ${text(event, 'format') ?? 'a file'}`, ...asked(event)),
  'audit.count': (event) => deed('count', `events by ${text(event, 'by') ?? 'something'}`, ...asked(event)),
  'audit.settled': settled,
  'auth.reject': reject,
  'status.read': () => deed('look at', 'the health of the service'),
  'workspace.list': () => deed('list', 'their workspaces'),
  'inventory.query': () => deed('look through', 'the inventory of tokens'),
  'webhook.receive': receive,
  'webhook.query': (event) =>
    text(event, 'delivery_id') === null
      ? deed('list', 'deliveries of webhooks')
      : deed('look at', deliveryLink(event, 'a delivery')),
  'webhook.retry': retry,
  'subject.block': (event) => deed('offboard', personIn(event.detail), consequence(event)),
  'subject.reinstate': reinstate,
  'subject.query': () => deed('look through', 'the owners of tokens'),
  'revocation.order': order,
  'credential.renew': renew,
  'session.start': () => deed('sign in'),
  'session.end': () => deed('end', 'a session of the console'),
  'trail.resume': () => deed('start', 'a new log of the trail'),
};

/** Whether an action is one of those that are told here. A newer service may have more. */
export const isTold = (action: string): action is Told => Object.hasOwn(TELLERS, action);
