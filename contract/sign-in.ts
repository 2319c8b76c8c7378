import * as z from 'zod';
import type { Operation } from './operation.ts';
import { component, say, success } from './schema.ts';

const logoutAnswer = component(
  'LogoutAnswer',
  success(
    z.strictObject({
      logout_url: say(
        z.url().nullable(),
        'Where the browser ends the session at the identity provider. Null: the provider has no such place.',
      ),
    }),
  ),
  'The session is over.',
);

const TO_BROWSERS =
  ' To a browser (`Accept` has `text/html`) a failure is a redirect to `/console/sign-in?error=` and its code.';

export const signInOperations: readonly Operation[] = [
  {
    tag: 'console',
    method: 'GET',
    pattern: '/auth/login',
    id: 'login',
    summary: 'Sign in',
    description: `Sends a browser to the identity provider, by the code flow of OpenID Connect with PKCE.${TO_BROWSERS}`,
    access: 'anyone',
    isRecorded: false,
    parameters: [
      {
        in: 'query',
        name: 'return_to',
        description: 'The path of the console where the browser goes afterwards. Any other is the console itself.',
        schema: z.string(),
        example: '/console/activity',
      },
      {
        in: 'query',
        name: 'issuer',
        description: 'The issuer to sign in by, where several have a `clientId`. Default: the first.',
        schema: z.string(),
        example: 'https://issuer.example',
      },
    ],
    successes: [
      {
        status: 302,
        description: 'To the identity provider. The cookie holds the sign-in for ten minutes.',
        headers: ['Location'],
        content: null,
      },
    ],
    failures: ['invalid_request', 'sign_in_not_configured', 'issuer_unavailable'],
  },
  {
    tag: 'console',
    method: 'GET',
    pattern: '/auth/callback',
    id: 'callback',
    summary: 'Come back from the identity provider',
    description: `Takes the browser back with the \`code\` and \`state\` of its provider, and begins its session once that is in the trail.${TO_BROWSERS}`,
    access: 'anyone',
    isRecorded: true,
    // Providers add parameters of their own.
    parameters: [],
    successes: [
      {
        status: 302,
        description: 'To the page of the console that was asked for. The cookie is the session.',
        headers: ['Location'],
        content: null,
      },
    ],
    failures: [
      'sign_in_not_configured',
      'sign_in_failed',
      'sign_in_refused',
      'no_role',
      'subject_blocked',
      'issuer_unavailable',
      'audit_unavailable',
      'not_ready',
    ],
  },
  {
    tag: 'console',
    method: 'POST',
    pattern: '/auth/logout',
    id: 'logout',
    summary: 'Sign out',
    description: 'Ends the session of the browser for good. A copy of its cookie is worth nothing then.',
    access: 'session',
    isRecorded: true,
    parameters: [],
    successes: [
      {
        status: 200,
        description: 'The session is over.',
        content: {
          schema: logoutAnswer,
          examples: {
            out: {
              success: true,
              message: 'You are signed out.',
              data: { logout_url: 'https://issuer.example/logout?client_id=countersign-console' },
            },
          },
        },
      },
    ],
    failures: ['invalid_request', 'sign_in_not_configured', 'audit_unavailable', 'not_ready'],
  },
];
