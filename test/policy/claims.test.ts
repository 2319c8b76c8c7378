import { describe, expect, it } from 'vitest';
import { readClaim } from '../../src/policy/bindings.ts';

const claims: Record<string, unknown> = JSON.parse(`{
  "sub": "alice",
  "https://acme.example/email": "alice@acme.example",
  "kubernetes.io": { "namespace": "shop", "serviceaccount": { "name": "ci", "a/b~c": "odd" } },
  "kubernetes": { "io": "another claim" },
  "groups": ["ops", "dev"],
  "nothing": null,
  "/slash": "top",
  "__proto__": { "own": "sent by the issuer" }
}`);

describe('a claim', () => {
  it.each<[string, string, unknown]>([
    ['by its name', 'sub', 'alice'],
    ['by a name that is a URL', 'https://acme.example/email', 'alice@acme.example'],
    ['by a name with dots, which split nothing', 'kubernetes.io', claims['kubernetes.io']],
    ['by a pointer', '/kubernetes.io/namespace', 'shop'],
    ['by a pointer two deep', '/kubernetes.io/serviceaccount/name', 'ci'],
    ['by a pointer with both escapes', '/kubernetes.io/serviceaccount/a~1b~0c', 'odd'],
    ['by a pointer to a name that starts with a slash', '/~1slash', 'top'],
    ['that is null', 'nothing', null],
    ['that is an array', 'groups', ['ops', 'dev']],
    ['that is missing', 'email', undefined],
    ['below one that is missing', '/email/name', undefined],
    ['below text', '/sub/length', undefined],
    ['below null', '/nothing/name', undefined],
    ['below an array', '/groups/0', undefined],
    ['that every object inherits', 'constructor', undefined],
    ['below an object that inherits it', '/kubernetes.io/toString', undefined],
    ['named __proto__, if it was sent', '/__proto__/own', 'sent by the issuer'],
    ['named __proto__, if it was not', '/kubernetes.io/__proto__', undefined],
    ['with an empty name', '', undefined],
  ])('%s', (_how, name, expected) => {
    expect(readClaim(claims, name)).toEqual(expected);
  });
});
