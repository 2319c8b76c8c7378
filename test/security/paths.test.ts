import { beforeAll, describe, expect, it } from 'vitest';
import { createHarness, TOKENS, type Harness } from '../support/harness.ts';
import { badRequest, expectRefused, receivedBy, rowsOf, UNAUTHENTICATED } from './expectations.ts';
import { BOTH } from './snapshots.ts';

// Paths that two parsers could read differently. What `new Request` cannot express is tried over a socket in test/e2e.

let harness: Harness;
let id: string;
beforeAll(async () => {
  harness = await createHarness();
  id = (await harness.mint()).id;
});

/** Everything that is about one token: none of them has a body, but an update has. */
const METHODS = ['GET', 'PATCH', 'DELETE'] as const;
const send = async (method: string, path: string, jwt?: string | null) =>
  await harness.send(method, path, {
    ...(method === 'PATCH' && { body: { name: 'renamed' } }),
    ...(jwt !== undefined && { jwt }),
  });

describe('an id that is none', () => {
  it.each([
    ['a slash', 'a%2fb'],
    ['a slash, upper case', 'a%2Fb'],
    ['a slash, encoded twice', 'a%252fb'],
    ['a traversal', '..%2f..%2fusers'],
    ['a traversal from an id', 'ID%2f..%2f..%2fusers'],
    ['a traversal with backslashes', '..%5c..%5cusers'],
    ['dots, encoded twice', '%252e%252e'],
    ['dots and a semicolon', '..;'],
    ['dots and an encoded semicolon', '%2e%2e%3b'],
    ['three dots', '...'],
    ['a matrix parameter', 'ID;admin=true'],
    ['a NUL', 'ID%00'],
    ['a NUL and a suffix', 'ID%00.json'],
    ['a line break and a header', 'ID%0d%0aX-Injected:%201'],
    ['a query', 'ID%3fworkspace_uuid=other'],
    ['a fragment', 'ID%23'],
    ['another host', '@evil.example'],
    ['a URL', 'https:%2f%2fevil.example%2f'],
    ['a space', 'ID%20'],
    ['a plus sign', 'ID+'],
    ['a wildcard', '*'],
    ['two ids', 'ID,ID'],
    ['SQL', "ID'%20OR%20'1'='1"],
    ['a bidi mark', 'ID%E2%80%AE'],
    ['a full-width full stop', '%EF%BC%8E%EF%BC%8E'],
    ['an overlong encoding of a slash', '%C0%AF'],
    ['half an encoding', 'ID%2'],
    ['no encoding at all', '%zz'],
    ['a leading dot', '.ID'],
    ['a leading dash', '-ID'],
    ['129 characters', 'a'.repeat(129)],
    ['8 KB', 'a'.repeat(8192)],
    ['a token secret', `sat_${'a'.repeat(40)}`],
  ])('%s is refused', async (_name, text) => {
    const path = `${TOKENS}/${text.replaceAll('ID', id)}`;
    for (const method of METHODS) {
      await expectRefused(harness, async () => await send(method, path), badRequest('invalid_request', ['id']));
    }
  });

  it('a JWT in its place is refused and not repeated', async () => {
    const jwt = await harness.jwtFor('admin', { sub: 'in-the-path' });
    for (const method of METHODS) {
      const path = `${TOKENS}/${jwt}`;
      await expectRefused(harness, async () => await send(method, path), badRequest('invalid_request', ['id']));
    }
  });
});

describe('a path that is none of ours', () => {
  const unknown = badRequest('not_found');

  it.each([
    ['a trailing slash', `${TOKENS}/`],
    ['a trailing slash after the id', `${TOKENS}/ID/`],
    ['a second segment', `${TOKENS}/ID/other`],
    ['an empty segment', `${TOKENS}//ID`],
    ['an empty segment further up', '/api//v1/service-account-tokens/ID'],
    ['a dot', `${TOKENS}/.`],
    ['an encoded dot', `${TOKENS}/%2e`],
    ['two dots', `${TOKENS}/..`],
    ['two encoded dots', `${TOKENS}/%2e%2e`],
    ['two dots, one of them encoded', `${TOKENS}/.%2E`],
    ['a way out and elsewhere', `${TOKENS}/ID/../../users`],
    ['a way out with backslashes', `${TOKENS}\\ID\\..\\..\\users`],
    ['upper case', '/api/v1/SERVICE-ACCOUNT-TOKENS/ID'],
    ['a matrix parameter on the collection', `${TOKENS};x=1`],
    ['a NUL on the collection', `${TOKENS}%00`],
    ['an extension', `${TOKENS}.json`],
    ['an encoded slash before the id', `${TOKENS}%2fID`],
    ['an id and an encoded question mark', `${TOKENS}%3f`],
    ["PipeOps' path of another version", '/api/v2/service-account-tokens/ID'],
    ['the control endpoint of the simulator', '/api/__control/tokens'],
  ])('%s', async (_name, text) => {
    const path = text.replaceAll('ID', id);
    for (const method of [...METHODS, 'POST', 'PUT']) {
      await expectRefused(harness, async () => await send(method, path), unknown);
      // Whatever stands under /api/ says nothing to strangers, not even that it is not there.
      await expectRefused(harness, async () => await send(method, path, null), UNAUTHENTICATED);
    }
  });

  it.each([
    ['an empty first segment', `//api/v1/service-account-tokens/ID`],
    ['two of them', `///api/v1/service-account-tokens/ID`],
    ['upper case', '/API/v1/service-account-tokens/ID'],
    ['a way out of everything', '/../../service-account-tokens/ID'],
    ['an encoded slash in the prefix', '/api%2fv1%2fservice-account-tokens%2fID'],
    ['a doubly encoded prefix', '/%2561pi/v1/service-account-tokens/ID'],
    ['a matrix parameter in the prefix', '/api;x/v1/service-account-tokens/ID'],
    ['a prefix before ours', '/x/api/v1/service-account-tokens/ID'],
    ['the same below a public route', '/healthz/api/v1/service-account-tokens/ID'],
  ])('outside of /api/, %s', async (_name, text) => {
    const url = `https://countersign.example${text.replaceAll('ID', id)}`;
    for (const jwt of [undefined, null]) {
      for (const method of METHODS) {
        await expectRefused(harness, async () => await send(method, url, jwt), unknown);
      }
    }
  });
});

// Every other path here is refused before any list is read.
describe.each(BOTH)('another spelling of a good path, snapshots $snapshots', ({ snapshots, env }) => {
  beforeAll(async () => {
    harness = await createHarness({ like: harness, env });
    if (snapshots === 'on') await harness.send('GET', TOKENS);
  });

  it.each([
    ['the id with an encoded character', () => `${TOKENS}/%${id.charCodeAt(0).toString(16)}${id.slice(1)}`],
    ['a way out and back', () => `${TOKENS}/x/../${id}`],
    ['an encoded way out and back', () => `${TOKENS}/x/%2e%2e/${id}`],
    ['a dot between', () => `${TOKENS}/./${id}`],
    ['backslashes', () => `${TOKENS.replaceAll('/', '\\')}\\${id}`],
    ['an encoded prefix', () => `/%61pi/v1/service-account-tokens/${id}`],
    ['a fragment', () => `${TOKENS}/${id}#/../../users`],
  ])('%s: strangers stay out, and PipeOps hears the plain id, if anything', async (_name, path) => {
    await expectRefused(harness, async () => await send('GET', path(), null), UNAUTHENTICATED);
    await harness.control.clearRequests({ credential: harness.credential });
    const answer = await send('GET', path());
    expect(answer.status).toBe(200);
    const received = await receivedBy(harness);
    const asked = { path: `${TOKENS}/${id}`, query: { workspace_uuid: harness.workspace } };
    expect(received.map(({ path: to, query }) => ({ path: to, query }))).toEqual(snapshots === 'on' ? [] : [asked]);
    expect(await rowsOf(answer)).toEqual([expect.objectContaining({ token_id: id, status: 'success' })]);
  });
});

it('the workspace cannot be a path either', async () => {
  for (const text of [
    '..',
    '../x',
    '%2e%2e',
    'a/b',
    'a%252fb',
    'a%26x=1',
    'a%23',
    '%00',
    'a;b',
    '@evil.example',
    '*',
    '',
  ]) {
    for (const path of [`${TOKENS}?workspace_uuid=${text}`, `${TOKENS}/${id}?workspace_uuid=${text}`]) {
      await expectRefused(
        harness,
        async () => await send('GET', path),
        badRequest('invalid_request', ['workspace_uuid']),
      );
    }
  }
});
