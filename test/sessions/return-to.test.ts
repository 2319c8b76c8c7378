import { expect, it } from 'vitest';
import { returnTo } from '../../src/sessions/sign-in/return-to.ts';

const ORIGIN = 'https://countersign.example';

it.each([
  ['/console', '/console'],
  ['/console/', '/console/'],
  ['/console/activity?q=action:create&from=1', '/console/activity?q=action:create&from=1'],
  ['/console/people/https%3A%2F%2Fissuer.example%7Cada', '/console/people/https%3A%2F%2Fissuer.example%7Cada'],
  ['/console/tokens#secret', '/console/tokens'],
  ['/console/x/../tokens', '/console/tokens'],
])('%s is a path of the console', (text, path) => {
  expect(returnTo(text, ORIGIN)).toBe(path);
});

it.each([
  null,
  '',
  'console',
  'https://evil.example/console',
  'https://countersign.example.evil.example/console',
  '//evil.example/console',
  '///evil.example/console',
  '/\\evil.example/console',
  '/\\/evil.example/console',
  '\\\\evil.example',
  '/\t/evil.example/console',
  '/console\n/x',
  '/console\u0000',
  ' /console',
  'javascript:alert(1)',
  'data:text/html,x',
  '/consolex',
  '/console/../auth/logout',
  '/console/%2e%2e/api/v1/whoami',
  '/console/..',
  '/%2f/evil.example/console',
  '/@evil.example/console',
  '/ÿ/console',
  `/console/${'x'.repeat(1_500)}`,
])('%j leads to the console itself', (text) => {
  expect(returnTo(text, ORIGIN)).toBe('/console');
});
