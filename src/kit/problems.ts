import type { RequestFailure } from '../failures.ts';

/** Collects everything that is wrong with a request, so that its caller learns all of it at once. */
export interface Problems {
  /** The request cannot be understood: 400. `field` is as the caller wrote it. */
  misunderstood(field: string, message: string): void;
  /** A value that is understood is not acceptable: 422. */
  unacceptable(field: string, message: string): void;
  any(): boolean;
  has(field: string): boolean;
  /**
   * All of it; `invalid_request` if any of it is, since its other fields may then not mean what they seem to. What made it that
   * comes first: a client that shows one problem shows that one.
   */
  failure(): RequestFailure;
}

/** Messages must say what to do and never quote a value: it may be a secret in the wrong place. */
export function createProblems(): Problems {
  // Not a plain object: a field may be called __proto__.
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
