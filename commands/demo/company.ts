import { LOCAL_ISSUER } from '../../local/issuer.ts';
import type { Client } from '../../package/client/client.ts';
import { CountersignError } from '../../package/client/failure.ts';
import type { CreateToken } from '../../package/client/requests.ts';
import type { CreatedToken, ErrorCode } from '../../package/client/index.ts';
import type { ServiceResponse } from '../service.ts';
import type { WebhookMessage } from '../webhook/options.ts';
import { DemoError } from './steps.ts';

/** Somebody, or something, that calls the service. */
export interface Member {
  readonly subject: string;
  /** The role of the local policy that its JWT names. */
  readonly role: string;
  /** Of a person, who is one of the issuer at which people sign in. Null for a program. */
  readonly email: string | null;
  readonly userAgent: string;
}

/** What the company works with. */
export interface Company {
  /** The service, called as one of its members. */
  readonly as: (member: Member) => Client;
  /** The issuer of people's JWTs. */
  readonly peopleIssuer: string;
  /** Sends a signed webhook. `forged`: it is signed with the secret of another sender. */
  readonly send: (message: WebhookMessage, forged?: 'forged') => Promise<ServiceResponse>;
}

export interface Filled {
  readonly tokens: number;
  readonly owners: number;
}

const person = (subject: string, role: string): Member => ({
  subject,
  role,
  email: `${subject}@example.test`,
  userAgent: 'countersign-command',
});
const program = (subject: string, role: string, userAgent: string): Member => ({
  subject,
  role,
  email: null,
  userAgent,
});

const ADA = person('ada', 'admin');
const GRACE = person('grace', 'auditor');
const LINUS = person('linus', 'developer');
const MARGARET = person('margaret', 'developer');
const SHOP_CI = program('shop-ci', 'ci', 'curl/8.14.1');
const BILLING = program('billing-cron', 'developer', 'python-urllib/3.13');
const EXPORTER = program('warehouse-export', 'ci', 'Go-http-client/2.0');
const SEARCH = program('search-indexer', 'developer', 'node');
const BACKUP = program('backup', 'admin', 'curl/8.14.1');
const JENKINS = program('old-jenkins', 'ci', 'Apache-HttpClient/4.5.14');
const CONTRACTOR = program('contractor', 'contractor', 'curl/8.14.1');

/** What is found by the next run: the last thing that this one makes. */
const LAST = { owner: BACKUP, name: 'nightly-backup' } as const;

/**
 * Makes a company of the size that a first look can take in: owners with their tokens, and what happens to tokens. All of it is done by
 * the API and by signed webhooks, in some 40 calls to PipeOps. A second run finds the company there, and only lets it work on.
 *
 * @returns what it made, or null if the company was there.
 * @throws DemoError if an answer is not the expected one.
 */
export async function fillCompany(company: Company): Promise<Filled | null> {
  const { items: found } = await company.as(ADA).inventory.list({ token_name: LAST.name, role: LAST.owner.role });
  const filled = found.length > 0 ? null : await hire(company);
  await workOn(company);
  return filled;
}

async function hire({ as, peopleIssuer, send }: Company): Promise<Filled> {
  const owners = new Set<string>();
  let tokens = 0;
  const mint = async (
    owner: Member,
    name: string,
    scopes: readonly string[],
    expires_in: string | null,
    description?: string,
  ): Promise<CreatedToken> => {
    const token: CreateToken = {
      name,
      scopes,
      ...(expires_in !== null && { expires_in }),
      ...(description !== undefined && { description }),
    };
    const created = await as(owner).tokens.create(token);
    owners.add(owner.subject);
    tokens += 1;
    return created;
  };

  await mint(ADA, 'terraform', ['projects:write', 'deployments:create'], '90d', 'State and plans of the platform');
  await mint(ADA, 'break-glass', ['api:full'], '12h');
  await mint(SHOP_CI, 'deploy-shop', ['api:read'], '1d');
  const smoke = await mint(SHOP_CI, 'smoke-test', ['api:read'], '7d');
  const job = await mint(SHOP_CI, 'deploy-shop-1841', ['api:read'], '1h');
  await as(SHOP_CI).tokens.revoke(job.id);
  await as(ADA).tokens.update(smoke.id, { name: 'smoke-tests' });

  const invoices = await mint(BILLING, 'invoice-run', ['api:read', 'projects:read'], '30d');
  await mint(BILLING, 'dunning', ['api:read'], '14d');
  await as(BILLING).tokens.rotate(invoices.id, { overlap: '24h' });
  tokens += 1;
  await mint(EXPORTER, 'warehouse-export', ['api:read'], '30d');
  const reindex = await mint(SEARCH, 'reindex', ['projects:read', 'projects:write'], '10d');
  await as(SEARCH).tokens.update(reindex.id, { scopes: ['projects:read'] });

  await mint(LINUS, 'linus-laptop', ['api:read', 'projects:read'], '7d');
  await mint(LINUS, 'preview-environment', ['deployments:create'], '3d');
  const load = await mint(LINUS, 'load-test', ['projects:read', 'projects:write'], '2d');
  await as(LINUS).tokens.update(load.id, { is_active: false });
  const script = await mint(LINUS, 'release-notes-script', ['projects:read'], '30d');
  const location = 'https://github.com/acme/scratch/blob/main/notes.sh';
  // GitHub's protocol wants a 200.
  expectStatus(await send({ source: 'github', token: script.token, location }), 200);

  await mint(MARGARET, 'margaret-laptop', ['api:read'], '30d');
  await mint(MARGARET, 'migration', ['projects:read', 'projects:write'], '14d');
  const leaver = { issuer: peopleIssuer, subject: MARGARET.subject };
  expectStatus(await send({ source: 'hr', event: 'subject.offboarded', data: leaver }), 202);

  await mint(JENKINS, 'jenkins-deploy', ['api:read'], '30d');
  const suspect = { issuer: LOCAL_ISSUER, subject: JENKINS.subject };
  const reason = 'INC-23: this build server ran code of strangers';
  await as(ADA).revocations.create({ subject: suspect, mode: 'suspend', reason });
  await mint(LAST.owner, LAST.name, ['api:read'], null, 'Reads all projects at night');
  return { tokens, owners: owners.size };
}

/** What goes on in the company each day: reads, and what is refused. None of it changes a token. */
async function workOn({ as, send }: Company): Promise<void> {
  await as(LINUS).tokens.list();
  await as(SHOP_CI).tokens.list();
  await as(GRACE).audit.events({ action: 'service_account_token.create', limit: 20 });
  await as(GRACE).audit.counts({ by: 'actor' });
  await refused('forbidden', as(SHOP_CI).tokens.create({ name: 'deploy-all', scopes: ['api:full'], expires_in: '1d' }));
  await refused('forbidden', as(GRACE).tokens.create({ name: 'look-around', scopes: ['api:read'], expires_in: '1d' }));
  await refused('not_found', as(LINUS).tokens.get('1f0c7f2e-0000-4000-8000-00000000dead'));
  await refused('subject_blocked', as(MARGARET).tokens.list());
  await refused('no_role', as(CONTRACTOR).tokens.list());
  const beyond = { label: 'linus@example.test' };
  // The scanner may report leaks and offboard nobody.
  expectStatus(await send({ source: 'scanner', event: 'subject.offboarded', data: beyond }), 200);
  const unknown = { token: `sat_${'0'.repeat(40)}` };
  expectStatus(await send({ source: 'scanner', event: 'token.leaked', data: unknown }, 'forged'), 401);
}

async function refused(code: ErrorCode, call: Promise<unknown>): Promise<void> {
  const said = await call.then(
    () => 'a success',
    (error: unknown) => {
      if (error instanceof CountersignError) return error.failure.code;
      throw error;
    },
  );
  if (said !== code)
    throw new DemoError(`Step 7 did not come out as expected: ${code} was expected, and it is ${said}.`);
}

function expectStatus({ status }: ServiceResponse, expected: number): void {
  if (status === expected) return;
  throw new DemoError(`Step 7 did not come out as expected: a webhook was answered ${status}, and not ${expected}.`);
}
