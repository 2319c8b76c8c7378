import * as fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { pathWith } from '../../contract/document.ts';
import type { Operation, Parameter } from '../../contract/operation.ts';
import { OPERATIONS } from '../../contract/operations.ts';
import { inlineSchema } from '../../contract/schema.ts';
import { createWebhookHarness, type WebhookHarness } from '../revocation/harness.ts';
import type { Answer } from '../support/harness.ts';
import { TRAIL_KEY } from '../trail/log/sealed.ts';
import { isValid, resolved, type Schema, valid } from './from-schema.ts';

// Each parameter that the contract lists is taken, in every form that its schema allows; another value of it is refused, and so is a
// parameter that is not listed.

let harness: WebhookHarness;
beforeAll(async () => {
  const role = {
    permissions: [
      'tokens:create',
      'tokens:read',
      'tokens:update',
      'tokens:rotate',
      'tokens:revoke',
      'audit:read',
      'trail:resume',
    ],
    tokens: 'any',
    workspaces: ['*'],
    scopes: ['api:write'],
  };
  harness = await createWebhookHarness({ roles: { anywhere: role }, env: { TRAIL_KEY } });
});

/** How the value of a parameter is written. */
const written = (value: unknown): string => (Array.isArray(value) ? value.join(',') : String(value));

async function ask(operation: Operation, query: readonly (readonly [string, string])[], headers = {}): Promise<Answer> {
  const { method, pattern, parameters, body } = operation;
  const example = (name: string): string => written(parameters.find((one) => one.name === name)?.example);
  const path = pathWith(pattern, example);
  const isLacking = ({ in: place, name, required }: Parameter): boolean =>
    place === 'query' && required === true && !query.some(([given]) => given === name);
  const lacking = parameters.filter(isLacking).map(({ name }) => [name, example(name)] as const);
  const all = [...query, ...lacking].map(([...pair]) => pair);
  const search = all.length > 0 ? `?${new URLSearchParams(all).toString()}` : '';
  // Each request is another caller's, since one caller may not make PipeOps answer as often.
  const jwt = await harness.jwtFor('anywhere', { sub: crypto.randomUUID() });
  const needed = parameters.filter(({ in: place, required }) => place === 'header' && required === true);
  return await harness.send(method, `${path}${search}`, {
    jwt,
    headers: { ...Object.fromEntries(needed.map(({ name }) => [name, example(name)])), ...headers },
    ...(body !== undefined && { body: Object.values(body.examples)[0] }),
  });
}

const rowsOf = (kind: 'query' | 'header', names?: readonly string[]) =>
  OPERATIONS.flatMap((operation) =>
    operation.parameters
      .filter((one) => one.in === kind && (names === undefined || names.includes(one.name)))
      .map((parameter) => [operation.id, parameter.name, operation, parameter] as const),
  );

const UNREFUSED = [200, 201, 202, 403, 404];
const samples = (schema: Schema): readonly string[] => fc.sample(valid(schema), 3).map(written);

/** Texts that are values of few parameters. */
const TEXTS = [
  '',
  ' ',
  'a b',
  '*',
  '-1',
  '0',
  '1.5',
  '999',
  'yes',
  'yesterday',
  'a,b',
  'service_account_token',
  'a\u0000',
  'x'.repeat(300),
];

/** What a text is under a schema: the number or the list that it stands for. */
function read(schema: Schema, text: string): unknown {
  const { type } = resolved(schema);
  if (type === 'integer') return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text;
  if (type === 'boolean') return ['true', 'false'].includes(text) || text;
  return type === 'array' ? text.split(',') : text;
}

const wrong = ({ schema }: Parameter): readonly string[] => {
  const json = inlineSchema(schema);
  return TEXTS.filter((text) => !isValid(json, read(json, text)));
};

describe('a query parameter that is listed', () => {
  it.each(rowsOf('query'))('%s takes %s', async (_id, name, operation, parameter) => {
    for (const value of samples(inlineSchema(parameter.schema))) {
      const { status, text } = await ask(operation, [[name, value]]);
      expect(UNREFUSED, `${name}=${value} is ${text.slice(0, 300)}`).toContain(status);
    }
  });

  it.each(rowsOf('query'))('%s refuses other values of %s', async (_id, name, operation, parameter) => {
    for (const value of wrong(parameter)) {
      const answer = await ask(operation, [[name, value]]);
      expect([value, answer.status, Object.keys(answer.body?.errors ?? {})]).toEqual([value, 400, [name]]);
    }
  });

  it.each(rowsOf('query').filter(([, name]) => !name.startsWith('workspace')))(
    '%s takes %s once',
    async (_id, name, operation, { example }) => {
      const pair = [name, written(example)] as const;
      expect((await ask(operation, [pair, pair])).status).toBe(400);
    },
  );
});

describe('an Idempotency-Key', () => {
  const [[, name, operation, parameter]] = rowsOf('header', ['Idempotency-Key']) as [ReturnType<typeof rowsOf>[number]];

  it('is taken in every form that its schema allows', async () => {
    for (const value of samples(inlineSchema(parameter.schema))) {
      expect([value, (await ask(operation, [], { [name]: value })).status]).toEqual([value, 403]);
    }
  });

  it('is refused in another', async () => {
    for (const value of ['a b', 'a,b', 'ä', 'x'.repeat(300)]) {
      expect([value, (await ask(operation, [], { [name]: value })).status]).toEqual([value, 400]);
    }
  });
});

it.each(rowsOf('header', ['Cache-Control']))('%s takes any %s, as HTTP has it', async (_id, name, operation, one) => {
  for (const value of ['no-cache', 'anything']) {
    const { status } = await ask(operation, [], { [name]: value });
    expect([value, isValid(inlineSchema(one.schema), value), UNREFUSED.includes(status)]).toEqual([value, true, true]);
  }
});

/** An identity provider sends the browser back with whatever parameters it likes. */
const TAKES_ANY = 'callback';

it.each(OPERATIONS.filter(({ id }) => id !== TAKES_ANY).map((operation) => [operation.id, operation] as const))(
  '%s refuses a query parameter that is not listed',
  async (_id, operation) => {
    for (const name of ['lmit', 'WORKSPACE_UUID', 'page']) {
      const answer = await ask(operation, [[name, '1']]);
      expect([answer.status, Object.keys(answer.body.errors)]).toEqual([400, [name]]);
    }
  },
);

it.each(
  OPERATIONS.flatMap((operation) =>
    operation.parameters.flatMap((one) =>
      one.in === 'path' && one.name !== 'source' ? [[operation.id, one.name, operation] as const] : [],
    ),
  ),
)('%s refuses what is no %s', async (_id, name, operation) => {
  const other = { ...operation, pattern: operation.pattern.replace(`:${name}`, 'a%20b') };
  expect((await ask(other, [])).status).toBe(400);
});
