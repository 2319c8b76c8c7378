import type { AcceptedOf } from './accepted.ts';

/** Survivors of src/trail/log that are accepted. */
export const trailLog: AcceptedOf = {
  'src/trail/log/signing.ts': [
    [
      'return origin === key.name ? own : await createSigner(key, origin);',
      'return await createSigner(key, origin);',
      'The signer of a key under its own name is made anew: that only costs time.',
    ],
  ],
};
