import type { Page } from 'playwright-core';
import { inject } from 'vitest';
import { openIssuer, signJwt } from '../../../local/issuer.ts';
import { openPeople } from '../../../local/people/keys.ts';
import { readRunFile } from '../../../local/state-dir.ts';
import { createClient } from '../../../package/client/client.ts';
import type { AuditQuery } from '../../../package/client/requests.ts';
import type { AuditEvent } from '../../../package/client/types.ts';
import { until } from '../../e2e/until.ts';

/** The people of a local run. */
export const PEOPLE = {
  ada: { role: 'admin', name: 'Ada Lovelace', email: 'ada@example.test' },
  grace: { role: 'auditor', name: 'Grace Hopper', email: 'grace@example.test' },
  linus: { role: 'developer', name: 'Linus Pauling', email: 'linus@example.test' },
} as const;
export type PersonName = keyof typeof PEOPLE;

const JWT_TTL_SECONDS = 60 * 60;

/** A JWT for what a test does beside the browser: of the issuer at which people sign in, or of the one of programs. */
export async function jwtOf(subject: string, role: string, email?: string): Promise<string> {
  const { stateDir } = inject('browserRun');
  const issuer = isPerson(subject)
    ? await openPeople(stateDir, readRunFile(stateDir)?.peopleIssuer ?? '')
    : await openIssuer(stateDir);
  const caller = { subject, role, ttlSeconds: JWT_TTL_SECONDS, ...(email !== undefined && { email }) };
  return await signJwt(issuer, caller, Math.floor(Date.now() / 1_000));
}

const isPerson = (subject: string): subject is PersonName => Object.hasOwn(PEOPLE, subject);

/** A caller of the API beside the browser. */
export const callerAs = (subject: string, role: string, email?: string) =>
  createClient({ url: inject('browserRun').url, jwt: async () => await jwtOf(subject, role, email), retries: 0 });

/** Somebody who signs in, as they call the API without a browser. */
export const callerAsPerson = (person: PersonName) => callerAs(person, PEOPLE[person].role, PEOPLE[person].email);

/** Reads what the trail and the inventory say in the end. */
export const admin = callerAs('local-admin', 'admin');

/** Waits until an event is in the trail, and gives it. What a browser was shown must stand there too. */
export const expectEvent = async (query: AuditQuery & Required<Pick<AuditQuery, 'action'>>): Promise<AuditEvent> =>
  await until('the event in the trail', async () => (await admin.audit.events({ latest: true, ...query })).items[0], {
    // A caller has 100 requests in ten seconds.
    intervalMs: 250,
  });

/** Runs the cron until an event is sealed. A run that is under way already may have passed it. */
export const untilSealed = async (eventId: string): Promise<string> =>
  await until(
    'the receipt of the event',
    async () => {
      process.kill(readRunFile(inject('browserRun').stateDir)?.pid ?? Number.NaN, 'SIGUSR2');
      return await admin.audit.receipt(eventId);
    },
    { intervalMs: 500 },
  );

/** A name that no other test has. */
export const uniqueName = (what: string): string => `${what}-${crypto.randomUUID().slice(0, 6)}`;

/** What somebody who is not signed in is answered as the page asks who they are. */
export const UNAUTHENTICATED = /^401 GET \/api\/v1\/whoami$/;

/** Signs in by the page of the provider, and comes back to the console. */
export async function signIn(page: Page, person: PersonName): Promise<void> {
  await page.getByRole('link', { name: 'Sign in' }).click();
  await page.getByRole('button', { name: PEOPLE[person].name }).click();
  await page.getByRole('navigation', { name: 'Pages' }).waitFor();
}
