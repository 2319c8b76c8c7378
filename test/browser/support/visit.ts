import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type Locator,
  type Page,
} from 'playwright-core';
import { expect, inject } from 'vitest';
import { type PersonName, signIn } from './people.ts';
import { pictureFile } from './looks.ts';
import { secretsIn, type Watch, watch } from './watch.ts';

/** A page of the console, somebody before it, and what goes wrong there. */
export interface Visit extends Watch {
  readonly page: Page;
  readonly context: BrowserContext;
}

interface VisitOptions extends BrowserContextOptions {
  /** Whether to sign in anew, for a test that ends the session. By default all visits of a person share one. */
  readonly ownSession?: boolean;
}

/** A page that takes longer than this will not come. A machine with much to do is thought of. */
const PATIENCE_MS = 15_000;
export const LAPTOP = { width: 1280, height: 800 };

let connecting: Promise<Browser> | null = null;
const visits: Visit[] = [];
type StorageState = Awaited<ReturnType<BrowserContext['storageState']>>;
const sessions = new Map<PersonName, StorageState>();

/**
 * Opens a page of the console in a browser of its own.
 *
 * @param person null: somebody who is not signed in.
 * @param path where to; null: the page stays empty, for a test that prepares more before.
 */
export async function visit(
  person: PersonName | null,
  path: string | null = '/console',
  { ownSession = false, ...options }: VisitOptions = {},
): Promise<Visit> {
  const { url, webSocketUrl } = inject('browserRun');
  connecting ??= chromium.connect(webSocketUrl);
  const browser = await connecting;
  const known = person === null || ownSession ? undefined : sessions.get(person);
  const context = await browser.newContext({
    baseURL: url,
    viewport: LAPTOP,
    ...(known !== undefined && { storageState: known }),
    ...options,
  });
  context.setDefaultTimeout(PATIENCE_MS);
  const watched = await watch(context);
  const opened: Visit = { ...watched, context, page: await context.newPage() };
  visits.push(opened);
  if (person !== null && known === undefined) {
    await opened.page.goto('/console/sign-in');
    await signIn(opened.page, person);
    if (!ownSession) sessions.set(person, await context.storageState());
  }
  if (path !== null) await opened.page.goto(path);
  return opened;
}

/** Leaves a picture of each page of a test where people look for it. */
export async function takePicturesOfFailure(test: string): Promise<void> {
  const name = test.replaceAll(/\W+/g, '-').slice(0, 60);
  const pages = visits.flatMap(({ context }) => context.pages());
  for (const [index, page] of pages.entries()) {
    await page.screenshot({ path: pictureFile(`failed-${name}-${index + 1}`) });
  }
}

/** Ends every visit of a test. @throws if something went wrong that no test has announced, or if a page still shows a secret. */
export async function expectNothingWrong(): Promise<void> {
  const wrong: string[] = [];
  for (const { context, complaints } of visits.splice(0)) {
    for (const page of context.pages()) {
      if (!page.url().startsWith('http')) continue;
      for (const secret of await secretsIn(page)) wrong.push(`${page.url()} holds the secret ${secret.slice(0, 8)}…`);
    }
    // A request that a test answers itself may be under way, and nobody waits for it any more.
    for (const page of context.pages()) await page.unrouteAll({ behavior: 'ignoreErrors' });
    await context.close();
    wrong.push(...complaints());
  }
  expect(wrong).toEqual([]);
}

export async function closeBrowser(): Promise<void> {
  const browser = await connecting;
  connecting = null;
  await browser?.close();
}

/** Waits until something can be seen. */
export const expectSeen = async (what: Locator): Promise<void> => await what.first().waitFor();
/** Waits until nothing of it can be seen. */
export const expectNotSeen = async (what: Locator): Promise<void> => await what.waitFor({ state: 'hidden' });

/** Makes the next visit of somebody sign in anew. */
export const forgetSession = (person: PersonName): void => void sessions.delete(person);
