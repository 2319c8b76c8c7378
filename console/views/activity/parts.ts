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
/** What somebody did, or tried to do. `done`: "revoked". `tried`: "revoke", behind "tried to" or "asked to". */
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

const textOrNull = (value: unknown): string | null => (typeof value === 'string' ? value : null);
export const text = (event: AuditEvent, name: string): string | null => textOrNull(event.detail[name]);
export const number = (event: AuditEvent, name: string): number | null => {
  const value = event.detail[name];
  return typeof value === 'number' ? value : null;
};
export const texts = (event: AuditEvent, name: string): readonly string[] => {
  const value = event.detail[name];
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
};
export const code = (value: string): Part => ({ kind: 'code', text: value });

const IRREGULAR: Readonly<Record<string, string>> = {
  read: 'read',
  get: 'got',
  give: 'gave',
  keep: 'kept',
  retry: 'retried',
};

/** A deed by its verb, such as "revoke" or "look at". */
export function deed(tried: string, ...about: readonly Piece[]): Deed {
  const done = tried.replace(/^\w+/, (verb) => IRREGULAR[verb] ?? `${verb.replace(/e$/, '')}ed`);
  return { done, tried, about };
}
/** What was to be revoked and need not be. */
export const found = (...about: readonly Piece[]): Deed => ({ done: 'found', tried: 'revoke', about });
export const eventLink = (id: string | null, words: string): Piece =>
  id === null ? words : { kind: 'event', id, text: words };

/** Another token of the event's workspace, by what it is to the first. Both often have one name. */
export const otherToken = (
  { workspace_uuid: workspaceUuid }: AuditEvent,
  tokenId: string | null,
  name: string | null,
): Part => ({ kind: 'token', workspaceUuid, tokenId, name });
export const tokenOf = (event: AuditEvent): Part => otherToken(event, event.token_id, event.token_name);
/** What a delivery, or a receipt, is called where it is linked. */
export const deliveryLink = (event: AuditEvent, words: string, isByCaller = false): Piece => {
  const id = text(event, 'delivery_id');
  return id === null ? words : { kind: 'delivery', id, text: words, isByCaller };
};

/** Several things, as in "a, b and c". */
export function listed(items: readonly Piece[]): readonly Piece[] {
  return items.flatMap((item, index): readonly Piece[] => {
    if (index === 0) return [item];
    return [index === items.length - 1 ? ' and ' : ', ', item];
  });
}

/** Somebody whom a record names, such as the detail of an event. */
export function personIn(record: Readonly<Record<string, unknown>>): Part {
  const [issuer = null, subject = null, label = null] = ['issuer', 'subject', 'label'].map((name) =>
    textOrNull(record[name]),
  );
  return { kind: 'person', issuer, subject, label };
}
