import * as z from 'zod';
import { rotateToken } from './bodies.ts';
import { JSON_BODY, RECORDED, UPSTREAM } from './failures.ts';
import type { Operation } from './operation.ts';
import { component, say, success, time } from './schema.ts';
import { createdToken, idempotencyKey, TOKEN_EXAMPLE, tokenIdParameter, workspaceParameters } from './tokens.ts';

const rotatedToken = component(
  'RotatedToken',
  createdToken.extend({
    replaces: say(z.string(), 'The id of the token whose place it takes.'),
    old_token_revoked_at: say(time(), 'When that one is revoked.'),
  }),
  'The successor of a token, with its secret.',
);
const rotatedTokenAnswer = component('RotatedTokenAnswer', success(rotatedToken), 'The successor of a token.');

export const rotationOperations: readonly Operation[] = [
  {
    tag: 'tokens',
    isRecorded: true,
    method: 'POST',
    pattern: '/api/v1/service-account-tokens/:id/rotate',
    id: 'rotateToken',
    summary: 'Rotate a token',
    description:
      'Mints a successor with the name and the scopes that were granted to a token of the caller, and revokes that token once the overlap is over. Only the owner of a token rotates it, and each token once.',
    access: 'tokens:rotate',
    parameters: [
      tokenIdParameter,
      ...workspaceParameters,
      {
        ...idempotencyKey(
          'until the token is revoked, and for an hour at least, the same request with the same key mints once',
        ),
        required: true,
      },
    ],
    body: {
      description: 'How the token is rotated. It may be left out.',
      schema: rotateToken,
      isOptional: true,
      examples: { overlap: { overlap: '24h' }, leaked: { overlap: '0s' } },
    },
    successes: [
      {
        status: 201,
        description: 'The successor with its secret.',
        headers: ['Idempotency-Replayed'],
        content: {
          schema: rotatedTokenAnswer,
          examples: {
            rotated: {
              success: true,
              message: 'Service account token rotated. The secret of its successor is shown this once.',
              data: {
                ...TOKEN_EXAMPLE,
                token: 'sat_mh4J3Fj…',
                replaces: '4d7cbb2e-6b0e-4a59-9a37-0d1e8a7c9b11',
                old_token_revoked_at: '2026-11-29T00:44:15.941Z',
              },
            },
          },
        },
      },
    ],
    failures: [
      ...JSON_BODY,
      ...RECORDED,
      ...UPSTREAM,
      'token_not_found',
      'token_limit_reached',
      'rotation_in_flight',
      'not_rotatable',
      'idempotency_key_reused',
      'idempotency_in_flight',
      'idempotency_no_replay',
      'idempotency_token_gone',
      'upstream_disobeyed',
      'outcome_unknown',
    ],
  },
];
