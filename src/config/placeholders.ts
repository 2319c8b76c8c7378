import { STANDARD_WEBHOOKS_SECRET_MIN_BYTES } from './limits.ts';
import { type Finding, keyOf } from './problems.ts';
import { decodeBase64 } from '../kit/bytes.ts';
import { uuidOf } from '../kit/ids.ts';
import { redact } from '../kit/redaction.ts';

// Values that stand for what an operator should have put there. The Worker cannot know that nobody has them: a workspace of zeros is a
// UUID, and `your-org` might be an organisation. `npm run doctor` tells the operator.

/** What a value seems to be. `nobodys`: it can be no real value. `examples`: it is the example of documents, and may be somebody's. */
export type Placeholder = 'nobodys' | 'examples';

/** What a text, or a part of it, stands for; null if it is no placeholder that is known here. */
export function placeholderIn(text: string): Placeholder | null {
  const spelled = uuidOf(text) ?? text.toLowerCase();
  if (isMadeUpUuid(spelled) || NOBODYS_VALUES.has(spelled) || NOBODYS.some((pattern) => pattern.test(text))) {
    return 'nobodys';
  }
  if (hasUnfilledBraces(text) || namesReservedHost(text)) return 'nobodys';
  return EXAMPLES.some((pattern) => pattern.test(text)) ? 'examples' : null;
}

/**
 * The placeholders in a policy, each with its path. The input need not be a valid policy, so that an operator is told of them whatever
 * else is wrong.
 */
export function placeholdersIn(input: unknown): readonly Finding[] {
  return leavesOf(input, []).flatMap(({ path, text }): Finding[] => {
    // A binding repeats an issuer, which is told about where it is listed.
    if (path[0] === 'bindings' && path.at(-1) === 'issuer') return [];
    const placeholder = placeholderIn(text) ?? (EXAMPLE_CLAIMS[String(path.at(-1))] === text ? 'examples' : null);
    if (placeholder === null) return [];
    return [{ key: keyOf(path), example: realValueAt(path), ...placeholderFinding(placeholder, redact(text)) }];
  });
}

/** The words for a placeholder. `shown` is left out where the value may be a secret. */
export function placeholderFinding(
  placeholder: Placeholder,
  shown?: string,
): { readonly severity: Finding['severity']; readonly problem: string } {
  const quoted = shown === undefined ? '' : `, ${JSON.stringify(shown)}`;
  return placeholder === 'nobodys'
    ? { severity: 'problem', problem: `is still a placeholder${quoted}` }
    : { severity: 'warning', problem: `is what documents have as an example${quoted}: is it really yours?` };
}

/**
 * Whether a secret looks made up: a placeholder that was left in, or a key that no generator of random bytes made. Random bytes of the
 * shortest key have eight different ones but once in 10^27.
 */
export function isMadeUpSecret(secret: string): boolean {
  if (placeholderIn(secret) === 'nobodys') return true;
  return secret.split(',').some((entry) => {
    const bytes = decodeBase64(entry.trim().replace(/^(?:[A-Za-z0-9_-]{1,32}:|whsec_)/, ''));
    if (bytes === null || bytes.byteLength < STANDARD_WEBHOOKS_SECRET_MIN_BYTES) return false;
    return new Set(bytes).size < 8;
  });
}

/** The values of this project's own documents and examples, and of its local run, in small letters. Nobody else has them. */
const NOBODYS_VALUES: ReadonlySet<string> = new Set([
  // The workspaces of docs/policy/ and of the simulator.
  '5877a4ae-6a3c-4d0f-9a55-0f2f6a8f3f0e',
  '5877a4ae-0000-4000-8000-000000000001',
  // An audience and a client of Cloudflare Access.
  '4714c1358e65fe4b408ad6d432a5f878f08194bdb4752441fd56faefa9b2b6f2',
  'e367826f93b8d71185e03fe518aff3b4.access',
  // What programs write where a variable was not set.
  'undefined',
  '[object object]',
  // Whole values that only stand for others.
  'owner/repo',
  'org/repo',
  'organization/repository',
  'user/repo',
  'username/repo',
  'foo/bar',
  'foo',
  'todo',
  'tbd',
]);

const WHAT_IS_YOURS =
  '(?:org|organi[sz]ation|company|corp|team|tenant|domain|subdomain|repo|repository|workspace|account|project|app|name|admin|token|secret|key|api|client|cluster|okta|auth0)';
const NOBODYS: readonly RegExp[] = [
  // your-org, YOUR_TENANT, yourOktaDomain
  /(?<![a-z0-9])your(?![a-z0-9])/i,
  new RegExp(`(?<![a-z])your${WHAT_IS_YOURS}`, 'i'),
  /(?<![a-z0-9])(?:my|some)[-_](?:org|organi[sz]ation|company|corp|tenant|domain)(?![a-z])/i,
  // REPLACE_ME, changeme, fill-in, insert-here
  /(?<![a-z])(?:replace|change|fill|insert|put|paste)[-_ ]?(?:me|this|it|in|here|with)(?![a-z])/i,
  /(?<![a-z])placeholder(?![a-z])/i,
  /(?<![A-Za-z0-9])(?:TODO|TBD|FIXME)(?![A-Za-z0-9])/,
  // xxx, and a UUID of x
  /(?<![a-z0-9])x{3,}(?![a-z0-9])/i,
  /…|\.\.\.|<[^<>]*>|\*{3,}|(?<![A-Za-z0-9])__[A-Z_]+__(?![A-Za-z0-9])/,
  // AWS writes its ids with this word in them.
  /EXAMPLE/,
  /(?<![a-z0-9])example[-_]?(?:org|organi[sz]ation|company|corp|team|tenant|workspace)(?![a-z])/i,
  /^example\//i,
];

/** Names that documents use and that somebody may have. */
const EXAMPLES: readonly RegExp[] = [
  /(?<![a-z0-9-])(?:acme|contoso|octo-org|octocat)(?=$|[/.])/i,
  // 123456, 123456789012
  /^12345(?:6(?:7(?:8(?:9(?:0(?:1(?:2)?)?)?)?)?)?)?$/,
];

/** Ids of docs/policy/github-actions.ts. At GitHub they are those of somebody. */
const EXAMPLE_CLAIMS: Readonly<Record<string, string>> = { repository_id: '74', repository_owner_id: '65' };

/** Whether a UUID has so few different digits, or digits so much in order, that no generator made it. The one of zeros is such a one. */
function isMadeUpUuid(text: string): boolean {
  const uuid = uuidOf(text);
  if (uuid === null) return false;
  return new Set(uuid.replaceAll('-', '')).size <= 5 || /^(?:12345678-1234|01234567-89ab)/.test(uuid);
}

/** Whether a text has `{something}` or `${something}` in it. The braces of a UUID are a way to write one, as Bitbucket does. */
function hasUnfilledBraces(text: string): boolean {
  return [...text.matchAll(/\{([^{}]*)\}/g)].some(([, inner = '']) => uuidOf(inner) === null);
}

/** Whether a text names a host that can never exist (RFC 2606 §2 and §3), other than as the value of a claim such as `main.test`. */
function namesReservedHost(text: string): boolean {
  const inUrl = /(?::\/\/|@)[^/\s]*\.(?:test|invalid)\.?(?=$|[/:\s])/i;
  const anywhere = /(?<![a-z0-9-])example\.(?:com|net|org|edu)(?![a-z0-9-])|[a-z0-9]\.example(?![a-z0-9-])/i;
  return inUrl.test(text) || anywhere.test(text);
}

type Path = readonly PropertyKey[];

/** Each text and number of a value, and where it stands. It ends on a value that holds itself. */
function leavesOf(
  value: unknown,
  path: Path,
  above: readonly unknown[] = [],
): readonly { readonly path: Path; readonly text: string }[] {
  if (typeof value === 'string' || typeof value === 'number') return [{ path, text: String(value) }];
  if (typeof value !== 'object' || value === null || above.includes(value)) return [];
  const within = [...above, value];
  return Array.isArray(value)
    ? value.flatMap((item, index) => leavesOf(item, [...path, index], within))
    : Object.entries(value).flatMap(([key, item]) => leavesOf(item, [...path, key], within));
}

/** What belongs where a placeholder stands. */
function realValueAt(path: Path): string {
  const key = path.findLast((part) => typeof part === 'string' && Object.hasOwn(REAL_VALUES, part));
  return (typeof key === 'string' ? REAL_VALUES[key] : undefined) ?? 'a value of your own';
}

const REAL_VALUES: Readonly<Record<string, string>> = {
  issuer: 'the `iss` of the JWTs that your callers have, character by character',
  audience: 'a name for this service, which your callers ask their JWTs for and which nothing else of yours accepts',
  jwksUri: 'where the issuer has its public keys; leave it out, and its discovery document says it',
  workspaces: "the UUIDs of your workspaces, as PipeOps' console shows them; or ['*'] for all",
  claims: 'the value that this claim has in the JWTs of those whom you mean',
  scopes: "scopes of PipeOps, such as ['api:read']",
  keysUrl: "keysUrl: 'https://api.github.com/meta/public_keys/secret_scanning'",
};
