import type { BrowserContext, Page, Request } from 'playwright-core';

/** A request that a page has sent. */
export interface SentRequest {
  readonly method: string;
  readonly url: string;
  readonly body: string | null;
}

/** What goes wrong in a browser, and what its pages ask for. */
export interface Watch {
  /** One line for each, such as `403 POST /api/v1/service-account-tokens`. */
  readonly problems: readonly string[];
  readonly requests: readonly SentRequest[];
  /** Says that problems of this kind are what the test is about. There must then be one. */
  readonly announce: (...kinds: readonly RegExp[]) => void;
  /** What is wrong with what happened; empty if nothing is. */
  readonly complaints: () => readonly string[];
}

/** Chromium's own line on an answer or a request that failed. It is reported with its method and path from the answer itself. */
const FAILED_RESOURCE = 'Failed to load resource';
/** The page has given a request up itself: it went to another place, or asks something else now. */
const GIVEN_UP = 'net::ERR_ABORTED';

/** Watches a browser's context from its first page on. */
export async function watch(context: BrowserContext): Promise<Watch> {
  const problems: string[] = [];
  const requests: SentRequest[] = [];
  const announced: RegExp[] = [];
  await context.exposeFunction(
    'tellViolation',
    (...said: readonly string[]) => void problems.push(`CSP violation: ${said.join(' ')}`),
  );
  await context.addInitScript(() => {
    const { tellViolation } = globalThis as unknown as { tellViolation: (...said: readonly string[]) => void };
    addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI, sample }) =>
      tellViolation(violatedDirective, blockedURI, sample),
    );
  });
  context.on('console', (message) => {
    const text = message.text();
    if (message.type() === 'error' && !text.startsWith(FAILED_RESOURCE)) problems.push(`console: ${text}`);
  });
  context.on('weberror', (error) => problems.push(`page error: ${String(error.error())}`));
  context.on('request', (request) =>
    requests.push({ method: request.method(), url: request.url(), body: request.postData() }),
  );
  context.on('response', (response) => {
    if (response.status() >= 400) problems.push(`${response.status()} ${nameOf(response.request())}`);
  });
  context.on('requestfailed', (request) => {
    const reason = request.failure()?.errorText ?? '';
    if (reason !== GIVEN_UP) problems.push(`${reason} ${nameOf(request)}`);
  });
  return {
    problems,
    requests,
    announce: (...kinds) => void announced.push(...kinds),
    complaints: () => [
      ...problems.filter((problem) => !announced.some((kind) => kind.test(problem))),
      ...announced
        .filter((kind) => !problems.some((problem) => kind.test(problem)))
        .map((kind) => `${kind} was announced, and did not happen`),
    ],
  };
}

const nameOf = (request: Request): string => `${request.method()} ${new URL(request.url()).pathname}`;

/** The text of a secret or of a JWT. What people are shown of a secret, its public beginning, is shorter. */
const SECRET = /sat_[0-9A-Za-z]{16,}|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*/g;

/** Secrets that a page shows or keeps: in its elements, fields, storage and address. The script cannot read a session's cookie at all. */
export async function secretsIn(page: Page): Promise<readonly string[]> {
  const kept = await page.evaluate(async () => {
    const fields = [...document.querySelectorAll<HTMLInputElement>('input, textarea')].map(({ value }) => value);
    const databases = await indexedDB.databases();
    return [
      document.documentElement.outerHTML,
      ...fields,
      JSON.stringify(Object.entries(localStorage)),
      JSON.stringify(Object.entries(sessionStorage)),
      JSON.stringify(databases),
      JSON.stringify(await caches.keys()),
      document.cookie,
      location.href,
      JSON.stringify(history.state),
    ].join('\n');
  });
  return [...new Set(kept.match(SECRET))];
}
