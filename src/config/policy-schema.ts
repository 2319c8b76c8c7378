import * as z from 'zod';
import type { IssuerPolicy } from './issuer-policy.ts';
import type { Binding, Role } from '../policy/types.ts';
import { err, ok, type Result } from '../kit/result.ts';
import type { Source } from './webhook-schema.ts';
import { bindingSchema } from './binding-schema.ts';
import { issuerSchema } from './issuer-schema.ts';
import { danglingReferences } from './policy-references.ts';
import { problemsOf, wording, type ConfigProblem } from './problems.ts';
import { presetsSchema, rolesSchema } from './role-schema.ts';
import { webhooksSchema } from './webhook-schema.ts';

/** Who may do what, checked and with its defaults filled in. */
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
  roles: "roles: { ci: { permissions: ['tokens:read'], tokens: 'own', workspaces: ['*'] } }",
  permissions: "permissions: ['tokens:create', 'tokens:read', 'tokens:revoke']",
  tokens: "tokens: 'own'",
  workspaces: "workspaces: ['5877a4ae-6a3c-4d0f-9a55-0f2f6a8f3f0e'], or ['*'] for all",
  scopes: "scopes: ['api:read']",
  maxTtl: "maxTtl: '30d'",
  maxTokens: 'maxTokens: 200',
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
 * Checks what `policy.ts` exports, or what the binding `POLICY` holds. Never throws, whatever the input.
 *
 * Errors: all problems at once, in the order of the file, references to what does not exist last.
 */
export function parsePolicy(input: unknown): Result<Policy, readonly ConfigProblem[]> {
  const parsed = policySchema.safeParse(input, { error: wording });
  const dangling = danglingReferences(input);
  if (parsed.success && dangling.length === 0) return ok(parsed.data);
  const problems = parsed.success ? [] : problemsOf(parsed.error, EXAMPLES, WHOLE_FILE);
  return err([...problems, ...dangling]);
}

/** Entries of one issuer are told apart by header, subject claim, audience, algorithms or types; the first that fits judges a JWT. */
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
