import type { RequestFailure } from '../failures.ts';

/** Everything that is wrong with a request, collected so that its caller learns all of it at once. */
export interface Problems {
  /** Notes that the request cannot be understood (400). `field` is the name as the caller wrote it. */
  misunderstood(field: string, message: string): void;
  /** Notes that a value is understood and not acceptable (422). */
  unacceptable(field: string, message: string): void;
  any(): boolean;
  has(field: string): boolean;
  /**
   * All problems as one failure. One that cannot be understood makes all of it `invalid_request`, since the other fields may
   * then not mean what they seem to; it comes first, for clients that show one problem alone.
   */
  failure(): RequestFailure;
}

/**
 * Creates an empty collection. Its messages must say what to do and never quote a value, which may be a secret in the wrong
 * place.
 */
export function createProblems(): Problems {
  // A plain object would lose a field that is called __proto__.
  const misunderstood = new Map<string, string[]>();
  const unacceptable = new Map<string, string[]>();
  const all = () => [...misunderstood, ...unacceptable];
  return {
    misunderstood: (field, message) => add(misunderstood, field, message),
    unacceptable: (field, message) => add(unacceptable, field, message),
    any: () => all().length > 0,
    has: (field) => misunderstood.has(field) || unacceptable.has(field),
    failure: () => {
      const messages = new Map<string, string[]>();
      for (const [field, texts] of all()) for (const text of texts) add(messages, field, text);
      return {
        kind: misunderstood.size > 0 ? 'invalid_request' : 'validation_failed',
        errors: Object.fromEntries(messages),
      };
    },
  };
}

function add(messages: Map<string, string[]>, field: string, message: string): void {
  const known = messages.get(field);
  if (known === undefined) messages.set(field, [message]);
  else if (!known.includes(message)) known.push(message);
}
