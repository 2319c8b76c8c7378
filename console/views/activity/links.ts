import type { AuditEvent } from '../../../package/client/types.ts';
import { paths } from '../../routes.ts';
import { type FilterName, printTerms } from './question.ts';

// Where the parts of a record lead.

/** The fields whose value is the filter that finds the events which share it. */
const SHARED: Readonly<Record<string, FilterName>> = {
  action: 'action',
  status: 'status',
  error_code: 'code',
  request_id: 'request',
  workspace_uuid: 'workspace',
  ip: 'ip',
  role: 'role',
  policy: 'policy',
};
/** The fields that name another event, and what that is to this one. An order has the id of its event. */
export const OTHER_EVENTS: Readonly<Record<string, string>> = {
  event_id: 'About the event',
  idempotent_of: 'Repeats the request of',
  overtaken: 'Undoes',
  undelivered_create: 'Revokes the token of',
  late_for: 'Ends late',
  retry: 'Made by the retry',
  order: 'Undone by',
  order_id: 'About the order',
};
/** The fields that name a token of the event's workspace. */
const TOKENS = ['token_id', 'replaces', 'replaced_by'];

/** The activity of a filter. Reads are shown, since a filter of a request or an address asks for all of it. */
export const activityWhere = (name: FilterName, value: string): string =>
  `${paths.activity}?${new URLSearchParams({ q: printTerms([{ name, value }]), reads: 'shown' }).toString()}`;

/**
 * Where a field of an event's record leads.
 *
 * @returns null if it leads nowhere.
 */
export function pathOf({ action, actor, workspace_uuid: workspace }: AuditEvent, field: string, value: string) {
  if (TOKENS.includes(field)) return workspace === null ? null : paths.token(workspace, value);
  if (field === 'id' || field in OTHER_EVENTS) return paths.event(value);
  if (field === 'delivery_id') return deliveryPath(value, actor.type !== 'webhook' && !action.startsWith('webhook.'));
  const name = SHARED[field];
  return name === undefined ? null : activityWhere(name, value);
}

/** What a caller ordered in an incident has a receipt of its own, beside the deliveries of webhooks. */
export const deliveryPath = (id: string, isByCaller: boolean): string =>
  isByCaller ? paths.revocation(id) : paths.delivery(id);

/** A piece of a line of JSON, and where it leads. */
export interface Piece {
  readonly text: string;
  readonly to: string | null;
}

/** The record of an event as lines of JSON, whose values lead on. What is behind `actor` is one link, to that actor's events. */
export function recordLines(event: AuditEvent): readonly (readonly Piece[])[] {
  const { issuer, subject } = event.actor;
  const lines = JSON.stringify(event, null, 2).split('\n');
  return lines.map((line): readonly Piece[] => {
    const [, head = '', field = '', value = '', tail = ''] =
      /^(\s*"([^"]+)": ")((?:[^"\\]|\\.)*)("(?:,)?)$/u.exec(line) ?? [];
    const isActor = head.startsWith('    ') && field === 'subject' && value === subject;
    const to = isActor ? activityWhere('actor', `${issuer ?? ''}|${subject}`) : pathOf(event, field, value);
    const plain = (text: string): Piece => ({ text, to: null });
    return to === null ? [plain(line)] : [plain(head), { text: value, to }, plain(tail)];
  });
}
