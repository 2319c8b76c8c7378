import type { RequestFailure } from '../failures.ts';

/** Collects everything that is wrong with a request, so that its caller learns all of it at once. */
export interface Problems {
  /** The request cannot be understood: 400. `field` is as the caller wrote it. */
  misunderstood(field: string, message: string): void;
  /** A value that is understood is not acceptable: 422. */
  unacceptable(field: string, message: string): void;
  any(): boolean;
  has(field: string): boolean;
  /** All of it; `invalid_request` if any of it is, since its other fields may then not mean what they seem to. */
  failure(): RequestFailure;
}

/** Messages must say what to do and never quote a value: it may be a secret in the wrong place. */
export function createProblems(): Problems {
  // Not a plain object: a field may be called __proto__.
  const messages = new Map<string, string[]>();
  let kind: 'invalid_request' | 'validation_failed' = 'validation_failed';
  const add = (field: string, message: string): void => {
    const known = messages.get(field);
    if (known === undefined) messages.set(field, [message]);
    else if (!known.includes(message)) known.push(message);
  };
  return {
    misunderstood: (field, message) => {
      kind = 'invalid_request';
      add(field, message);
    },
    unacceptable: add,
    any: () => messages.size > 0,
    has: (field) => messages.has(field),
    failure: () => ({ kind, errors: Object.fromEntries(messages) }),
  };
}
