import * as z from 'zod';
import { MAX_OVERLAP_DEFAULT_SECONDS, UNUSED_AFTER_DEFAULT_SECONDS } from './aging-limits.ts';
import { aloneIfAny, dictionary, duration, isAloneIfAny, overlap, workspaceList } from './fields.ts';
import { eachOnce, grantName, type NameFault, presetFault, scopeFault } from './grant-names.ts';
import { type IssuerPolicy, issuerSchema } from './issuers.ts';
import {
  MAX_TOKENS_DEFAULT_COUNT,
  MAX_TOKENS_MAX_COUNT,
  PRESET_MAX_CHARS,
  SCOPE_MAX_CHARS,
  SCOPES_MAX_COUNT,
} from './limits.ts';
import { type ConfigProblem, problemsOf, wording } from './problems.ts';
import { type Source, webhooksSchema } from './webhooks.ts';
import { redact } from '../kit/redaction.ts';
import { err, ok, type Result } from '../kit/result.ts';
import type { Binding, Role } from '../policy/types.ts';
import { PERMISSIONS, TRAIL_PERMISSIONS, UNUSED_MODES } from '../vocabulary.ts';

/** The operator's policy: who may do what, checked and with its defaults filled in. */
export interface Policy {
  readonly issuers: readonly IssuerPolicy[];
  /** In file order. */
  readonly roles: readonly Role[];
  readonly bindings: readonly Binding[];
  /** The scopes that each known preset of PipeOps stands for. */
  readonly presets: Readonly<Record<string, readonly string[]>>;
  /** Who may revoke by webhook, in file order. */
  readonly webhooks: readonly Source[];
}

/**
 * Checks what `policy.ts` exports, or what the binding `POLICY` holds. Never throws, whatever the input.
 *
 * Errors: all problems at once, in the order of the file. References to what does not exist come last.
 */
export function parsePolicy(input: unknown): Result<Policy, readonly ConfigProblem[]> {
  const parsed = policySchema.safeParse(input, { error: wording });
  const dangling = danglingReferences(input);
  if (parsed.success && dangling.length === 0) return ok(parsed.data);
  const problems = parsed.success ? [] : problemsOf(parsed.error, EXAMPLES, WHOLE_FILE);
  return err([...problems, ...dangling]);
}

/**
 * The name of a role. It starts with a letter: JavaScript moves keys that look like numbers to the front, and the order of roles
 * counts.
 */
const roleName = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9_-]{0,63}$/, { error: 'is not a name: a letter, then up to 63 letters, digits, _ or -' });

const SCOPE_WORDING: Readonly<Record<NameFault, string>> = {
  secret: 'is not a scope: it looks like a token or a JWT',
  marker: 'is not a scope: it looks like what this service adds to names',
  wildcard: "is not a scope: a scope is exact, never a pattern; '*' alone, in a role, sets no ceiling",
  form: 'is not a scope: small letters, digits, _ . and -, in words joined by colons, with a letter first',
  too_long: `is not a scope: it has more than ${SCOPE_MAX_CHARS} characters`,
};
const PRESET_FORM = `is not a preset: up to ${PRESET_MAX_CHARS} small letters, digits, . _ or -, with a letter or digit first`;
const PRESET_WORDING: Readonly<Record<NameFault, string>> = {
  secret: 'is not a preset: it looks like a token or a JWT',
  marker: 'is not a preset: it looks like what this service adds to names',
  wildcard: PRESET_FORM,
  form: PRESET_FORM,
  too_long: PRESET_FORM,
};

const scope = grantName(scopeFault, SCOPE_WORDING);
const presetName = grantName(presetFault, PRESET_WORDING);

const ceiling = z
  .array(grantName((text) => (text === '*' ? null : scopeFault(text)), SCOPE_WORDING))
  .refine(isAloneIfAny, aloneIfAny)
  .transform(eachOnce)
  .default([]);

const tokenCountError = { error: `is not a whole number from 1 to ${MAX_TOKENS_MAX_COUNT}` };
const tokenCount = z
  .custom<number>((input) => Number.isSafeInteger(input), tokenCountError)
  .refine((count) => count >= 1 && count <= MAX_TOKENS_MAX_COUNT, tokenCountError);

const roleSchema = z
  .strictObject({
    permissions: z.array(z.enum(PERMISSIONS)).min(1, { error: 'is empty: such a role grants nothing' }),
    tokens: z.enum(['own', 'any']).default('own'),
    workspaces: workspaceList,
    scopes: ceiling,
    maxTtl: duration.optional(),
    maxTokens: tokenCount.default(MAX_TOKENS_DEFAULT_COUNT),
    maxOverlap: overlap.default(MAX_OVERLAP_DEFAULT_SECONDS),
    unusedAfter: duration.default(UNUSED_AFTER_DEFAULT_SECONDS),
    onUnused: z.enum(UNUSED_MODES).default('report'),
  })
  .superRefine(({ permissions, tokens, workspaces }, context) => {
    if (tokens === 'any' && workspaces.includes('*')) return;
    for (const name of TRAIL_PERMISSIONS.filter((permission) => permissions.includes(permission))) {
      context.addIssue({
        code: 'custom',
        path: ['permissions'],
        message: `${name} counts only beside workspaces: ['*'] and tokens: 'any', since the trail tells of all of them`,
        params: { example: `auditor: { permissions: ['${name}'], tokens: 'any', workspaces: ['*'] }` },
      });
    }
  });

/** `roles`: an object, read as a list in file order. */
const rolesSchema = dictionary(roleName, roleSchema).transform((roles) =>
  Object.entries(roles).map(([name, { maxTtl, maxOverlap, unusedAfter, ...grant }]): Role => ({
    name,
    ...grant,
    maxTtlSeconds: maxTtl ?? null,
    maxOverlapSeconds: maxOverlap,
    unusedAfterSeconds: unusedAfter,
  })),
);

/** `presets`: the scopes that each stands for, at most as many as a request may name. */
const presetsSchema = dictionary(
  presetName,
  z
    .array(scope)
    .min(1)
    .max(SCOPES_MAX_COUNT, { error: `has more than ${SCOPES_MAX_COUNT} scopes, which is all that a request may name` })
    .transform(eachOnce),
);

const GITHUB_ACTIONS_HOST = 'token.actions.githubusercontent.com';
/** All repositories of GitHub share one issuer, so a binding must name one of these claims to say whose repository it means. */
const GITHUB_OWNERSHIP_CLAIMS = ['repository', 'repository_id', 'repository_owner', 'repository_owner_id'];

/** The value of a claim. A number must be one that no reader of JSON rounds. */
const claimValue = z
  .custom<string | number | boolean>(
    (input) => typeof input === 'string' || typeof input === 'boolean' || Number.isSafeInteger(input),
    { error: 'is neither text nor a whole number nor true or false' },
  )
  .transform(String)
  .refine((text) => text !== '' && text.trim() === text, { error: 'is empty, or starts or ends with a space' });

/** One entry of `bindings`, as far as it can be checked by itself. */
const bindingSchema = z
  .strictObject({
    issuer: z.string(),
    claims: dictionary(z.string().min(1, { error: 'is not the name of a claim' }), claimValue),
    role: z.string(),
  })
  .superRefine(({ issuer, claims }: Binding, context) => {
    const exact = Object.keys(claims).filter((name) => !claims[name]?.includes('*'));
    if (exact.length === 0) {
      context.addIssue({
        code: 'custom',
        path: ['claims'],
        message: 'needs at least one exact claim: a value without *',
        params: { example: "claims: { repository: 'acme/shop', ref: 'refs/heads/release-*' }" },
      });
    } else if (isGitHubActions(issuer) && !GITHUB_OWNERSHIP_CLAIMS.some((name) => exact.includes(name))) {
      context.addIssue({
        code: 'custom',
        path: ['claims'],
        message: `needs one of ${GITHUB_OWNERSHIP_CLAIMS.join(', ')} without *: every repository of GitHub has this issuer`,
        params: { example: "claims: { repository: 'acme/shop', ref: 'refs/heads/main' }" },
      });
    }
  });

/** Whether an issuer is that of GitHub Actions. An enterprise's own issuer has its name as the path of this host. */
function isGitHubActions(issuer: string): boolean {
  return URL.parse(issuer)?.hostname === GITHUB_ACTIONS_HOST;
}

const record = z.record(z.string(), z.unknown());

/**
 * The problems of bindings that name an issuer or a role which does not exist. They are looked for in the raw input, so that an
 * operator is told all problems at once and need not mend a file in rounds.
 */
function danglingReferences(input: unknown): readonly ConfigProblem[] {
  const { issuers, roles, bindings } = record.catch({}).parse(input);
  const issuerNames = new Set(entries(issuers).flatMap(({ issuer }) => (typeof issuer === 'string' ? [issuer] : [])));
  const roleNames = Object.keys(record.catch({}).parse(roles));
  return entries(bindings).flatMap(({ issuer, role }, index) => {
    const problems: ConfigProblem[] = [];
    if (typeof issuer === 'string' && !issuerNames.has(issuer)) {
      problems.push({
        key: `bindings[${index}].issuer`,
        problem: `is an unknown issuer, ${quoted(issuer)}; ${known([...issuerNames])}`,
        example: "issuer: 'https://token.actions.githubusercontent.com', the same as in issuers",
      });
    }
    if (typeof role === 'string' && !roleNames.includes(role)) {
      problems.push({
        key: `bindings[${index}].role`,
        problem: `is an unknown role, ${quoted(role)}; ${known(roleNames)}`,
        example: "role: 'ci', with roles: { ci: { … } }",
      });
    }
    return problems;
  });
}

const quoted = (name: string): string => JSON.stringify(redact(name));

const known = (names: readonly string[]): string =>
  names.length === 0 ? 'there are none' : `there are: ${names.map(redact).join(', ')}`;

function entries(input: unknown): readonly Record<string, unknown>[] {
  return Array.isArray(input) ? input.map((entry) => record.catch({}).parse(entry)) : [];
}

/** A correct entry for each key, shown with a problem. */
const EXAMPLES: Readonly<Record<string, string>> = {
  issuers: "issuers: [{ issuer: 'https://token.actions.githubusercontent.com', audience: 'countersign' }]",
  issuer: "issuer: 'https://token.actions.githubusercontent.com'",
  audience: "audience: 'countersign'",
  algorithms: "algorithms: ['RS256']",
  jwksUri: "jwksUri: 'https://acme.cloudflareaccess.com/cdn-cgi/access/certs'",
  jwks: "jwks: { keys: [{ kty: 'EC', crv: 'P-256', x: '…', y: '…', kid: '…' }] }",
  subject: "subject: 'repository_id'",
  label: "label: 'email'",
  actorType: "actorType: 'service_account'",
  maxAge: "maxAge: '1h'",
  clockToleranceSeconds: 'clockToleranceSeconds: 30',
  acceptTyp: "acceptTyp: ['JWT', 'at+jwt']",
  header: "header: 'Authorization'",
  clientId: "clientId: 'countersign-console'",
  clientSecret: "clientSecret: 'CONSOLE_CLIENT_SECRET'",
  roles: "roles: { ci: { permissions: ['tokens:read'], tokens: 'own', workspaces: ['*'] } }",
  permissions: "permissions: ['tokens:create', 'tokens:read', 'tokens:revoke']",
  tokens: "tokens: 'own'",
  workspaces: "workspaces: ['5877a4ae-6a3c-4d0f-9a55-0f2f6a8f3f0e'], or ['*'] for all",
  scopes: "scopes: ['api:read']",
  maxTtl: "maxTtl: '30d'",
  maxTokens: 'maxTokens: 200',
  maxOverlap: "maxOverlap: '7d'",
  unusedAfter: "unusedAfter: '90d'",
  onUnused: "onUnused: 'report'",
  bindings: "bindings: [{ issuer: 'https://…', claims: { repository: 'acme/shop' }, role: 'ci' }]",
  claims: "claims: { repository: 'acme/shop', ref: 'refs/heads/release-*' }",
  role: "role: 'ci'",
  presets: "presets: { mcp: ['api:read', 'api:write'] }",
  webhooks:
    "webhooks: { scanner: { kind: 'standard', events: ['token.leaked'], workspaces: ['*'], secrets: ['WEBHOOK_SCANNER'] } }",
  kind: "kind: 'standard'",
  events: "events: ['token.leaked']",
  secrets: "secrets: ['WEBHOOK_SCANNER']",
  keysUrl: "keysUrl: 'https://api.github.com/meta/public_keys/secret_scanning'",
  keysToken: "keysToken: 'GITHUB_KEYS_TOKEN'",
  keys: "keys: [{ key_identifier: '…', key: '-----BEGIN PUBLIC KEY-----…' }]",
};
const WHOLE_FILE = 'export default definePolicy({ issuers: [ … ], roles: { … }, bindings: [ … ] })';

const policySchema = z.strictObject({
  issuers: z.array(issuerSchema).superRefine((issuers, context) => {
    issuers.forEach((issuer, index) => {
      if (issuers.slice(0, index).some((earlier) => overshadows(earlier, issuer))) {
        context.addIssue({
          code: 'custom',
          path: [index],
          message: 'is never reached: an entry before it accepts all that it would',
        });
      }
    });
  }),
  roles: rolesSchema,
  bindings: z.array(bindingSchema),
  presets: presetsSchema.default({}),
  webhooks: webhooksSchema.default([]),
});

/**
 * Whether `later` judges no JWT, because `earlier` fits every one that it fits. Entries of one issuer differ in what is compared
 * here.
 */
function overshadows(earlier: IssuerPolicy, later: IssuerPolicy): boolean {
  return (
    earlier.issuer === later.issuer &&
    earlier.header === later.header &&
    earlier.subject === later.subject &&
    later.audience.every((audience) => earlier.audience.includes(audience)) &&
    later.algorithms.every((algorithm) => earlier.algorithms.includes(algorithm)) &&
    later.acceptTyp.every((type) => earlier.acceptTyp.includes(type))
  );
}
