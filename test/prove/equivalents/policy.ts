import type { AcceptedOf } from './accepted.ts';

/** Survivors of src/policy that are accepted. */
export const policy: AcceptedOf = {
  'src/policy/bindings.ts': [
    [
      'return text.match(SEPARATORS)?.length ?? 0;',
      'return text.match(SEPARATORS)?.length;',
      'Counts are only compared with each other, and undefined stands for none as well as 0 does.',
    ],
  ],
  'src/policy/decide.ts': [
    [
      "return isInSight ? ok({ ...request, token }) : err({ kind: 'token_not_found', reason: 'not_readable' });",
      "return isInSight ? ok({ ...request }) : err({ kind: 'token_not_found', reason: 'not_readable' });",
      'The request holds this very token: only the compiler needs it named.',
    ],
  ],
  'src/policy/reach.ts': [
    [
      "'permission',",
      '',
      'It is what the search begins with, and lower than all others with or without a rank of its own.',
    ],
    [
      "return reasons.reduce((best, reason) => (rank(reason) > rank(best) ? reason : best), 'permission');",
      "return reasons.reduce((best, reason) => (rank(reason) >= rank(best) ? reason : best), 'permission');",
      'Two reasons of one rank are one reason.',
    ],
  ],
  'src/policy/shortfall.ts': [
    [
      "const named = 'namedScopes' in request ? (request.namedScopes ?? null) : null;",
      'const named = request.namedScopes ?? null;',
      'What is not there reads as undefined: only the compiler needs the question.',
    ],
    [
      "const named = 'namedScopes' in request ? (request.namedScopes ?? null) : null;",
      "const named = 'namedScopes' in request ? (request.namedScopes) : null;",
      'A field that is there is not undefined: only the compiler needs the fallback.',
    ],
  ],
};
