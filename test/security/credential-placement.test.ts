import { beforeAll, describe, expect, it } from 'vitest';
import { createHarness, ISSUER, TOKENS, type Harness } from '../support/harness.ts';
import { badRequest, expectRefused, invalidToken, UNAUTHENTICATED } from './expectations.ts';

// A good JWT of an administrator, everywhere but alone in its header.

let harness: Harness;
let jwt: string;
let other: string;
beforeAll(async () => {
  harness = await createHarness();
  jwt = await harness.jwtFor('admin');
  other = await harness.jwtFor('admin', { sub: 'admin-2' });
});

const body = { name: 'stolen', scopes: ['api:read'] };
const post = async (headers: Readonly<Record<string, string>>, query = '') =>
  await harness.send('POST', `${TOKENS}${query}`, { jwt: null, headers, body });

describe('in Authorization', () => {
  it.each<[string, () => string]>([
    ['without a scheme', () => jwt],
    ['as Basic', () => `Basic ${btoa(`admin:${jwt}`)}`],
    ['as Token', () => `Token ${jwt}`],
    ['as DPoP', () => `DPoP ${jwt}`],
    ['as a scheme that only begins like ours', () => `BearerX ${jwt}`],
    ['after a tab', () => `Bearer\t${jwt}`],
    ['as nothing', () => ''],
  ])('%s, it does not count', async (_name, header) => {
    await expectRefused(harness, async () => await post({ Authorization: header() }), UNAUTHENTICATED);
  });

  it.each<[string, () => string]>([
    ['not there', () => 'Bearer'],
    ['quoted', () => `Bearer "${jwt}"`],
    ['twice', () => `Bearer ${jwt} ${jwt}`],
    ['named', () => `Bearer token=${jwt}`],
    ['under two schemes', () => `Bearer Bearer ${jwt}`],
  ])('%s, it is malformed', async (_name, header) => {
    await expectRefused(harness, async () => await post({ Authorization: header() }), invalidToken('malformed', null));
  });

  // A server joins headers of one name by a comma: RFC 9110 §5.3.
  it.each<[string, () => string]>([
    ['two headers with one JWT', () => `Bearer ${jwt}, Bearer ${jwt}`],
    ['two headers with two JWTs', () => `Bearer ${jwt}, Bearer ${other}`],
    ['two headers, the second of another scheme', () => `Bearer ${jwt}, Basic YWRtaW46YWRtaW4=`],
    ['two headers, the first of another scheme', () => `Basic YWRtaW46YWRtaW4=, Bearer ${jwt}`],
    ['two headers, the second empty', () => `Bearer ${jwt},`],
    ['two headers, the first empty', () => `, Bearer ${jwt}`],
  ])('%s are ambiguous', async (_name, header) => {
    await expectRefused(
      harness,
      async () => await post({ Authorization: header() }),
      invalidToken('credentials_ambiguous', null),
    );
  });

  it('two real headers of that name are ambiguous too', async () => {
    const url = `https://countersign.example${TOKENS}`;
    const request = new Request(url, { method: 'POST', body: JSON.stringify(body) });
    request.headers.append('Authorization', `Bearer ${jwt}`);
    request.headers.append('Authorization', `Bearer ${other}`);
    const response = await harness.worker.fetch(request);
    expect([response.status, await response.json()]).toMatchObject([401, { code: 'invalid_token' }]);
  });
});

describe('in another header', () => {
  it.each(['Proxy-Authorization', 'X-Authorization', 'X-Forwarded-Authorization', 'X-Api-Key', 'X-Auth-Token'])(
    '%s does not count',
    async (name) => {
      await expectRefused(harness, async () => await post({ [name]: `Bearer ${jwt}` }), UNAUTHENTICATED);
    },
  );

  it.each(['CF_Authorization', 'access_token', 'Authorization'])('the cookie %s does not count', async (name) => {
    await expectRefused(harness, async () => await post({ Cookie: `${name}=${jwt}` }), UNAUTHENTICATED);
  });

  it('the header of Cloudflare Access is not for an issuer configured for Authorization', async () => {
    await expectRefused(
      harness,
      async () => await post({ 'Cf-Access-Jwt-Assertion': jwt }),
      invalidToken('wrong_header', ISSUER),
    );
  });

  it('the header of Cloudflare Access does not stand in for a bad Authorization', async () => {
    await expectRefused(
      harness,
      async () => await post({ Authorization: 'Bearer x', 'Cf-Access-Jwt-Assertion': jwt }),
      invalidToken('malformed', null),
    );
    await expectRefused(
      harness,
      async () => await post({ Authorization: 'Basic eDp5', 'Cf-Access-Jwt-Assertion': jwt }),
      UNAUTHENTICATED,
    );
  });
});

describe('in the URL or the body', () => {
  it.each(['access_token', 'token', 'jwt', 'Authorization', 'bearer'])(
    '?%s= does not count, and beside a good header it is unknown',
    async (name) => {
      await expectRefused(harness, async () => await post({}, `?${name}=${jwt}`), UNAUTHENTICATED);
      await expectRefused(
        harness,
        async () => await post({ Authorization: `Bearer ${jwt}` }, `?${name}=${other}`),
        badRequest('invalid_request', [name]),
      );
    },
  );

  it('as the name of a parameter it is not repeated', async () => {
    await expectRefused(
      harness,
      async () => await post({ Authorization: `Bearer ${jwt}` }, `?${other}=1`),
      badRequest('invalid_request', ['query']),
    );
  });

  it('as user of the URL it does not count', async () => {
    const url = `https://bearer:${jwt}@countersign.example${TOKENS}`;
    await expectRefused(harness, async () => await harness.send('GET', url, { jwt: null }), UNAUTHENTICATED);
  });

  it('in a form, as RFC 6750 §2.2 has it, it does not count', async () => {
    const headers = { 'Content-Type': 'application/x-www-form-urlencoded' };
    await expectRefused(
      harness,
      async () => await harness.send('POST', TOKENS, { jwt: null, headers, rawBody: `access_token=${jwt}` }),
      UNAUTHENTICATED,
    );
  });
});
