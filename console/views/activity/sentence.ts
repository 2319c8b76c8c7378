import type { AuditEvent } from '../../../package/client/types.ts';
import { isTold, TELLERS } from './deeds.ts';
import { code, type Deed, type Part, type Piece, text } from './parts.ts';
import { whyOf } from './why.ts';

// What an event says, as a sentence. It claims what the event records and nothing beyond: an attempt has no outcome, a failure did not happen,
// and what the service noticed is nobody's deed.

export interface Sentence {
  readonly what: readonly Part[];
  /** Why it failed, or what is special about it. */
  readonly why: string | null;
}

const ACTOR = { kind: 'actor' } as const;

/** How often it happened. A row that counts what its minute did not record in full says so. */
function times({ count, detail }: AuditEvent): string | null {
  if (detail['further'] === true) return count === 1 ? ' once more that minute' : ` ${count} more times that minute`;
  return count === 1 ? null : ` ${count} times`;
}

/** What is said of an event beside its failure. */
function aside(event: AuditEvent): string | null {
  const { detail } = event;
  if (event.status === 'attempted') return 'It is not known yet what became of it.';
  if (detail['settled_by'] === 'reconciliation' && event.status === 'success') {
    return 'The answer was lost; PipeOps’ own data shows it.';
  }
  if (event.status === 'success' && detail['came'] !== undefined)
    return 'PipeOps made something else than was asked for.';
  if (['revocation.order', 'trail.resume'].includes(event.action) && event.status === 'success') {
    const reason = text(event, 'reason');
    return reason === null ? null : `“${reason}”`;
  }
  return null;
}

/**
 * Tells an event. An action that nobody here knows, as a newer service may have, is told by its name.
 */
export function sentenceOf(event: AuditEvent): Sentence {
  const { action, status } = event;
  const told = isTold(action) ? TELLERS[action](event) : { done: 'did', tried: 'do', about: [code(action)] };
  const pieces = 'whole' in told ? told.whole : [ACTOR, ' ', ...formOf(told, event, status), ...spaced(told.about)];
  const why = 'whole' in told && told.why !== undefined ? told.why : (whyOf(event) ?? aside(event));
  return { what: joined([...pieces, times(event)]), why };
}

function formOf({ done, tried }: Deed, { actor }: AuditEvent, status: string): readonly Piece[] {
  if (status === 'success') return [done];
  if (status === 'failure') return [`tried to ${tried}`];
  return [actor.type === 'system' ? `began to ${tried}` : `asked to ${tried}`];
}

const spaced = (about: readonly Piece[]): readonly Piece[] => (about.length === 0 ? [] : [' ', ...about]);

/** Texts beside each other are one part. */
function joined(pieces: readonly Piece[]): readonly Part[] {
  const parts: Part[] = [];
  for (const piece of pieces) {
    if (piece === null || piece === '') continue;
    const last = parts.at(-1);
    if (typeof piece !== 'string') parts.push(piece);
    else if (last?.kind === 'text') parts[parts.length - 1] = { kind: 'text', text: last.text + piece };
    else parts.push({ kind: 'text', text: piece });
  }
  return parts;
}

/** What a sentence says without links, for titles and for whoever reads by ear. */
export function plainText({ actor }: AuditEvent, { what }: Sentence): string {
  return what
    .map((part) => {
      switch (part.kind) {
        case 'actor':
          return nameOf(actor);
        case 'person':
          return part.label ?? part.subject ?? 'somebody';
        case 'token':
          return part.name ?? (part.tokenId === null ? 'a token' : `token ${part.tokenId.slice(0, 8)}`);
        case 'time':
          return part.at.slice(0, 10);
        case 'question':
          return part.query;
        case 'text':
        case 'code':
        case 'delivery':
        case 'event':
          return part.text;
      }
    })
    .join('');
}

const nameOf = ({ type, label, subject }: AuditEvent['actor']): string => {
  if (type === 'system') return 'Countersign';
  return label ?? subject ?? (type === 'webhook' ? 'a webhook' : 'somebody');
};

/** How what is said of others is said to whoever did it. */
const TO_YOU: Readonly<Record<string, string>> = {
  'of theirs': 'of yours',
  'gives them': 'gives you',
  Their: 'Your',
  their: 'your',
  They: 'You',
  they: 'you',
};

/** A sentence about somebody, said to that person. */
export const inSecondPerson = (words: string): string =>
  words.replaceAll(/\b(of theirs|gives them|[Tt]heir|[Tt]hey)\b/g, (said) => TO_YOU[said] ?? said);
