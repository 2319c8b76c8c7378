import { AUDIT_ACTOR_DETAIL_MAX_BYTES } from '../../config/limits.ts';
import { cutToBytes } from '../../kit/caps.ts';
import { rfc3339OrNull } from '../../kit/time.ts';
import { ME, type EventFilter, type Position } from './event-filter.ts';

/**
 * What a filter leaves in the row of the read that used it. The token and the workspace stand in columns of their own,
 * so that whoever asks about a token finds also who has read about it.
 */
export const filterDetail = (filter: EventFilter): Readonly<Record<string, unknown>> =>
  given({
    action: filter.actions.length > 0 ? filter.actions : null,
    status: filter.status,
    actor: filter.own === null ? actorDetail(filter.actor) : ME,
    actor_type: filter.actorType,
    request_id: filter.requestId,
    ip: filter.ip,
    from: rfc3339OrNull(filter.fromMs),
    to: rfc3339OrNull(filter.toMs),
  });

const actorDetail = (actor: string | null): string | null =>
  actor === null ? null : cutToBytes(actor, AUDIT_ACTOR_DETAIL_MAX_BYTES);

/** What a position leaves there. */
export const positionDetail = ({ order, seq }: Position): Readonly<Record<string, unknown>> =>
  given({
    order: order === 'asc' ? order : null,
    after_seq: order === 'asc' ? seq : null,
    before_seq: order === 'desc' ? seq : null,
  });

const given = (fields: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null));
