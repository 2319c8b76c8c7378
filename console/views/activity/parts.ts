import type { AuditEvent } from '../../../package/client/types.ts';

// What sentences about events are made of.

/** A piece of a sentence. The view makes links of those that name something. */
export type Part =
  | { readonly kind: 'text'; readonly text: string }
  /** Who acted. */
  | { readonly kind: 'actor' }
  /** Text as a machine writes it, such as a scope. */
  | { readonly kind: 'code'; readonly text: string }
  | { readonly kind: 'time'; readonly at: string }
  | {
      readonly kind: 'person';
      readonly issuer: string | null;
      readonly subject: string | null;
      readonly label: string | null;
    }
  | {
      readonly kind: 'token';
      readonly workspaceUuid: string | null;
      readonly tokenId: string | null;
      readonly name: string | null;
    }
  /** What a webhook, or a caller in an incident, ordered. */
  | { readonly kind: 'delivery'; readonly id: string; readonly text: string; readonly isByCaller: boolean }
  | { readonly kind: 'event'; readonly id: string; readonly text: string }
  /** A question that was asked of the trail. */
  | { readonly kind: 'question'; readonly query: string };

export type Piece = Part | string | null;
/** The three forms of what was done. `done`: "revoked". `tried`: "revoke", behind "tried to" or "asked to". */
export interface Deed {
  readonly done: string;
  readonly tried: string;
  readonly about: readonly Piece[];
}
/** An event that is told as it stands, whatever its status. */
export interface Whole {
  readonly whole: readonly Piece[];
  readonly why?: string;
}

export const text = (event: AuditEvent, name: string): string | null => {
  const value = event.detail[name];
  return typeof value === 'string' ? value : null;
};
export const number = (event: AuditEvent, name: string): number | null => {
  const value = event.detail[name];
  return typeof value === 'number' ? value : null;
};
export const texts = (event: AuditEvent, name: string): readonly string[] => {
  const value = event.detail[name];
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
};
export const code = (value: string): Part => ({ kind: 'code', text: value });
export const deed = (done: string, tried: string, ...about: readonly Piece[]): Deed => ({ done, tried, about });
export const eventLink = (id: string | null, words: string): Piece =>
  id === null ? words : { kind: 'event', id, text: words };

export const tokenOf = ({ workspace_uuid: workspaceUuid, token_id: tokenId, token_name: name }: AuditEvent): Part => ({
  kind: 'token',
  workspaceUuid,
  tokenId,
  name,
});
/** Another token of the event's workspace, by what it is to the first. Both often have one name. */
export const otherToken = (
  { workspace_uuid: workspaceUuid }: AuditEvent,
  tokenId: string | null,
  name: string,
): Part => ({
  kind: 'token',
  workspaceUuid,
  tokenId,
  name,
});

/** Several things, as in "a, b and c". */
export function listed(items: readonly Piece[]): readonly Piece[] {
  return items.flatMap((item, index): readonly Piece[] => {
    if (index === 0) return [item];
    return [index === items.length - 1 ? ' and ' : ', ', item];
  });
}

/** Somebody whom an event is about. */
export function personIn(event: AuditEvent): Part {
  const [issuer, subject, label] = [text(event, 'issuer'), text(event, 'subject'), text(event, 'label')];
  return { kind: 'person', issuer, subject, label };
}

export const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
export const textIn = (record: Readonly<Record<string, unknown>>, name: string): string | null => {
  const value = record[name];
  return typeof value === 'string' ? value : null;
};
