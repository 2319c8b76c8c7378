import * as z from 'zod';
import type { Binding } from '../policy/types.ts';
import { dictionary } from './fields.ts';

const GITHUB_ACTIONS_HOST = 'token.actions.githubusercontent.com';
/** Every repository of GitHub shares one issuer, so one of these must say whose it is. */
const GITHUB_OWNERSHIP_CLAIMS = ['repository', 'repository_id', 'repository_owner', 'repository_owner_id'];

/** A number must be one that no reader of JSON rounds. */
const claimValue = z
  .custom<string | number | boolean>(
    (input) => typeof input === 'string' || typeof input === 'boolean' || Number.isSafeInteger(input),
    { error: 'is neither text nor a whole number nor true or false' },
  )
  .transform(String)
  .refine((text) => text !== '' && text.trim() === text, { error: 'is empty, or starts or ends with a space' });

/** One entry of `bindings`, as far as it can be judged alone. */
export const bindingSchema = z
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

/** An enterprise's own issuer has its name as the path of the same host. */
function isGitHubActions(issuer: string): boolean {
  return URL.parse(issuer)?.hostname === GITHUB_ACTIONS_HOST;
}
