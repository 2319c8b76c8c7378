import * as z from 'zod';
import { MAX_OVERLAP_MAX_SECONDS } from './aging-limits.ts';
import { parseWorkspaceUuid, WORKSPACE_FORM } from '../kit/ids.ts';
import { isObject } from '../kit/json.ts';
import { durationSeconds, SECONDS_PER_DAY } from '../kit/time.ts';
import { eachOnce } from './grant-names.ts';
import { TOKEN_TTL_MAX_SECONDS } from './limits.ts';

/** A duration such as `90s`, `15m`, `1h` or `30d`, read as seconds. */
export const duration = z
  .string()
  .regex(/^[1-9]\d{0,8}[smhd]$/, { error: 'is not a duration: a whole number above 0, then s, m, h or d' })
  .transform((text) => durationSeconds(text) ?? Number.NaN)
  .refine((seconds) => seconds <= TOKEN_TTL_MAX_SECONDS, {
    error: `is longer than ${TOKEN_TTL_MAX_SECONDS / SECONDS_PER_DAY} days`,
  });

/** How long a rotated token lives on, read as seconds: `0s`, or a duration up to MAX_OVERLAP_MAX_SECONDS. */
export const overlap = z
  .union([z.literal('0s').transform(() => 0), duration], {
    error: 'is neither 0s nor a duration: a whole number above 0, then s, m, h or d',
  })
  .refine((seconds) => seconds <= MAX_OVERLAP_MAX_SECONDS, {
    error: `is longer than ${MAX_OVERLAP_MAX_SECONDS / SECONDS_PER_DAY} days`,
  });

/** A URL that secrets or keys travel to or from: https, or http to this very machine, without credentials and fragment. */
export const trustedUrl = z.string().superRefine((text, context) => {
  const problem = urlProblem(text);
  if (problem !== null) context.addIssue({ code: 'custom', message: problem });
});

/** A trusted URL that is extended or compared, so that it has no query either. */
export const trustedBaseUrl = trustedUrl.refine((text) => !text.includes('?'), { error: 'has a query' });

/** The id of a workspace, read in its one spelling. */
const workspaceId = (error: string) =>
  z.string().transform((text, context) => {
    const workspace = parseWorkspaceUuid(text);
    if (workspace === null) context.addIssue({ code: 'custom', message: error });
    return workspace ?? z.NEVER;
  });

export const workspaceUuid = workspaceId(`is not the id of a workspace: ${WORKSPACE_FORM}`);

export const isAloneIfAny = (items: readonly string[]): boolean => items.length === 1 || !items.includes('*');
export const aloneIfAny = { error: "has '*' beside others: it stands alone" };

/** The UUIDs of workspaces, each once whatever its spellings, or `['*']` for all. */
export const workspaceList = z
  .array(
    z.union([z.literal('*'), workspaceId('')], {
      error: `is neither '*' nor the id of a workspace: ${WORKSPACE_FORM}`,
    }),
  )
  .min(1)
  .refine(isAloneIfAny, aloneIfAny)
  .transform(eachOnce);

/** The name of a Worker secret, as `wrangler secret put` takes it. */
export const secretName = z
  .string()
  .regex(/^[A-Z][A-Z0-9_]{0,63}$/, { error: 'is not the name of a secret: capital letters, digits and _' });

/**
 * An object whose keys the operator chooses. A key `__proto__` is refused: zod would drop it silently, and a binding with one
 * condition less lets more callers in.
 */
export const dictionary = <Value extends z.ZodType>(keys: z.ZodString, values: Value) =>
  z
    .custom<Record<string, unknown>>((input) => isObject(input) && !Object.hasOwn(input, '__proto__'), {
      error: (issue) => {
        if (issue.input === undefined) return 'is missing';
        return isObject(issue.input) ? 'has a key __proto__' : 'is not an object';
      },
    })
    .pipe(z.record(keys, values));

/** What is wrong with a URL; null if it can be trusted. */
function urlProblem(text: string): string | null {
  const url = URL.parse(text);
  if (url === null) return 'is not a URL';
  if (url.protocol !== 'https:' && !isHttpLoopback(url)) {
    return 'is neither https nor http on a loopback address';
  }
  if (url.username !== '' || url.password !== '') return 'holds credentials';
  return /[#\s\\]/.test(text) ? 'has a fragment, a space or a backslash' : null;
}

const LOOPBACK_HOSTS: readonly string[] = ['localhost', '127.0.0.1', '[::1]'];

/** Whether a URL is plain http to this very machine, where nobody can listen in. */
export const isHttpLoopback = ({ protocol, hostname }: URL): boolean =>
  protocol === 'http:' && LOOPBACK_HOSTS.includes(hostname);
