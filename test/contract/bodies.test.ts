import * as fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { createWebhookHarness, type WebhookHarness } from '../revocation/harness.ts';
import { TOKENS, type Answer } from '../support/harness.ts';
import { componentOf, invalidObject, isValid, propertiesOf, resolved, type Schema, valid } from './from-schema.ts';

// The schemas of bodies are as strict as the service, and no stricter: what is valid is understood, and what is not is refused.

let harness: WebhookHarness;
let jwt: string;
beforeAll(async () => {
  const role = {
    permissions: ['tokens:create', 'tokens:update', 'tokens:revoke'],
    tokens: 'own',
    workspaces: ['e15e0000-0000-4000-8000-000000000000'],
    scopes: ['api:read'],
  };
  harness = await createWebhookHarness({ roles: { elsewhere: role } });
  // Whoever may act in another workspace alone is refused only once its body is understood, and PipeOps is not asked.
  jwt = await harness.jwtFor('elsewhere');
});

const BODIES = [
  { name: 'CreateToken', send: async (body: unknown) => await harness.send('POST', TOKENS, { jwt, body }) },
  { name: 'UpdateToken', send: async (body: unknown) => await harness.send('PATCH', `${TOKENS}/tok-1`, { jwt, body }) },
  ...(['RevokeTokens', 'OffboardSubject'] as const).map((name) => ({
    name,
    send: async (body: unknown) => await harness.send('POST', '/api/v1/revocations', { jwt, body }),
  })),
  {
    name: 'NewReinstatement',
    send: async (body: unknown) => await harness.send('POST', '/api/v1/reinstatements', { jwt, body }),
  },
] as const;

const told = (body: unknown, { status, text }: Answer): string =>
  `${JSON.stringify(body)} is ${status} ${text}`.toWellFormed();

async function hold(
  bodies: fc.Arbitrary<unknown>,
  send: (body: unknown) => Promise<Answer>,
  statuses: readonly number[],
  runs: number,
) {
  await fc.assert(
    fc.asyncProperty(bodies, async (body) => {
      const answer = await send(body);
      if (!statuses.includes(answer.status)) throw new Error(told(body, answer));
    }),
    { numRuns: runs, endOnFailure: true },
  );
}

describe.each(BODIES)('a body of $name', ({ name, send }) => {
  it('that is valid is understood', async () => {
    await expect(hold(valid(componentOf(name)), send, [403, 404], 20)).resolves.toBeUndefined();
  });

  it('that is not valid is 400 or 422', async () => {
    await expect(hold(invalidObject(componentOf(name)), send, [400, 422], 60)).resolves.toBeUndefined();
  });
});

describe.each([
  ['TokenRevoke', 'scanner'],
  ['SubjectOffboarded', 'hr'],
  ['SubjectReinstated', 'hr'],
])('a webhook of %s', (name, source) => {
  const schema = componentOf(name);
  const send = async (body: unknown) => await harness.sendRaw(source, JSON.stringify(body));
  const forms = resolved(propertiesOf(schema)['data']!)['anyOf'] as readonly Schema[];
  const type = propertiesOf(schema)['type']!['const'];

  it('that is valid is accepted', async () => {
    await expect(hold(valid(schema), send, [202], 5)).resolves.toBeUndefined();
  });

  it('that is not valid is 400', async () => {
    const invalid = fc
      .oneof(...forms.map(invalidObject))
      .filter((data) => !forms.some((form) => isValid(form, data)))
      .map((data) => ({ type, data }));
    await expect(hold(invalid, send, [400], 15)).resolves.toBeUndefined();
  });
});

it.each([
  ['TokenRevoke', 'scanner', { tokens: [{ token_id: 'tok-1' }], token_id: 'tok-2' }],
  ['SubjectOffboarded', 'hr', { label: 'kim@acme.example', issuer: 'https://issuer.example', subject: 'kim' }],
  ['SubjectReinstated', 'hr', { label: 'kim@acme.example', issuer: 'https://issuer.example', subject: 'kim' }],
])('a webhook of %s that has both of its forms at once is not valid, and is 400', async (name, source, data) => {
  const body = { type: propertiesOf(componentOf(name))['type']!['const'], data };
  expect(isValid(componentOf(name), body)).toBe(false);
  expect((await harness.sendRaw(source, JSON.stringify(body))).status).toBe(400);
});

it('a leak is accepted whatever it says', async () => {
  const send = async (body: unknown) => await harness.sendRaw('scanner', JSON.stringify(body));
  await expect(hold(valid(componentOf('TokenLeaked')), send, [202], 5)).resolves.toBeUndefined();
});
