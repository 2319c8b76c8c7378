import type { IssuerPolicy } from './issuers.ts';
import { LIFETIME_ADVISED_MAX_SECONDS } from './limits.ts';
import type { Policy } from './policy.ts';
import type { Finding } from './problems.ts';
import { SECONDS_PER_DAY } from '../kit/time.ts';
import { redact } from '../kit/redaction.ts';

/** What an issuer's entry, or the claims of a binding, cannot have meant. */
export function issuerAdvice({ issuers, bindings }: Policy): readonly Finding[] {
  return [
    ...issuers.flatMap((issuer, index) => {
      const key = `issuers[${index}]`;
      const claimsOfBindings = bindings.flatMap((binding) =>
        binding.issuer === issuer.issuer ? Object.keys(binding.claims) : [],
      );
      return [
        ...subjectAdvice(`${key}.subject`, issuer, claimsOfBindings),
        ...claimAdvice(`${key}.subject`, issuer.subject, (name) => `subject: '${name}'`),
        ...(issuer.label === null ? [] : claimAdvice(`${key}.label`, issuer.label, (name) => `label: '${name}'`)),
        ...ageAdvice(`${key}.maxAge`, issuer),
      ];
    }),
    ...bindings.flatMap(({ claims }, index) =>
      Object.entries(claims).flatMap(([claim, value]) =>
        claimAdvice(`bindings[${index}].claims`, claim, (name) => `claims: { '${name}': '${redact(value)}' }`),
      ),
    ),
  ];
}

// ── Who owns tokens ─────────────────────────────────────────────────────────────────────────────────────────────────

/** An issuer whose `sub`, or another claim that looks like an identity, is a name that somebody else may have tomorrow. */
interface NamingIssuer {
  readonly name: string;
  readonly issues: (issuer: URL, claims: readonly string[]) => boolean;
  /** The claims that stay with whom they name; the first is the best. */
  readonly stable: readonly string[];
  /** What the other claims are. */
  readonly otherwise: string;
}

/** Sources: GitHub's and GitLab's pages on OIDC tokens of their pipelines, and the JWTs of Kubernetes' service accounts. */
const NAMING_ISSUERS: readonly NamingIssuer[] = [
  {
    name: 'GitHub',
    // GitHub itself, GitHub Enterprise Cloud with data residency, and GitHub Enterprise Server.
    issues: ({ hostname, pathname }) =>
      hostname === 'token.actions.githubusercontent.com' ||
      /^token\.actions\.[^.]+\.ghe\.com$/.test(hostname) ||
      pathname.startsWith('/_services/token'),
    stable: ['repository_id', 'repository_owner_id', 'enterprise_id', 'actor_id'],
    otherwise: 'a name or a single run: whoever takes a deleted name gets the tokens of the one before',
  },
  {
    name: 'GitLab',
    issues: ({ hostname }, claims) => hostname === 'gitlab.com' || claims.includes('project_path'),
    stable: ['project_id', 'namespace_id', 'user_id'],
    otherwise: 'a path or a single job: whoever takes a deleted path gets the tokens of the one before',
  },
  {
    name: 'Kubernetes',
    issues: (_issuer, claims) => claims.some((claim) => claim.startsWith('/kubernetes.io/')),
    stable: ['/kubernetes.io/serviceaccount/uid'],
    otherwise: 'a name: a service account that is made again under it gets the tokens of the one before',
  },
];

/** Claims of people that OpenID Connect Core §5.7 says are not to be relied on as who somebody is. */
const UNSTABLE_CLAIMS: readonly string[] = ['email', 'preferred_username', 'upn', 'unique_name', 'name', 'nickname'];

function subjectAdvice(key: string, { issuer, subject }: IssuerPolicy, claims: readonly string[]): readonly Finding[] {
  const url = new URL(issuer);
  const naming = NAMING_ISSUERS.find(({ issues }) => issues(url, claims));
  if (naming !== undefined) {
    const [best = ''] = naming.stable;
    if (naming.stable.includes(subject)) return [];
    const problem = `is '${redact(subject)}', at ${naming.name} ${naming.otherwise}`;
    return [{ severity: 'problem', key, problem, example: `subject: '${best}'` }];
  }
  if (!UNSTABLE_CLAIMS.includes(subject)) return [];
  const problem = `is '${subject}', which may be another's tomorrow: whoever has it then gets the tokens of the one before`;
  return [{ severity: 'warning', key, problem, example: `subject: 'sub', label: '${subject}'` }];
}

function ageAdvice(key: string, { maxAgeSeconds }: IssuerPolicy): readonly Finding[] {
  if (maxAgeSeconds <= LIFETIME_ADVISED_MAX_SECONDS) return [];
  const days = Math.floor(maxAgeSeconds / SECONDS_PER_DAY);
  const problem = `is ${days} days, more than a year: a JWT that leaked would be a caller for as long`;
  return [{ severity: 'problem', key, problem, example: "maxAge: '1h'" }];
}

// ── Names of claims ─────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * What is wrong with the name of a claim. A name without `/` in front is one claim, verbatim. One that has the form of a path is
 * hardly that, except for a URI, which issuers use for claims of their own.
 */
function claimAdvice(key: string, name: string, entry: (name: string) => string): readonly Finding[] {
  const shown = redact(name);
  const finding = (problem: string, example: string): readonly Finding[] => [
    { severity: 'problem', key, problem, example },
  ];
  if (name.startsWith('/')) {
    const steps = name.slice(1).split('/');
    if (steps.includes('')) {
      return finding(`has the path '${shown}' with an empty part, which no JWT has`, entry(pointerTo(steps)));
    }
    const index = steps.findIndex((step) => /^\d+$|^-$/.test(step));
    if (index <= 0) return [];
    const problem = `has the path '${shown}' into an array, which is not read: an array matches by any of its members`;
    return finding(problem, entry(pointerTo(steps.slice(0, index))));
  }
  const isUri = /^[A-Za-z][A-Za-z0-9+.-]*:/.test(name);
  if (isUri || !/[./[\]]|^\$/.test(name)) return [];
  // In a name with slashes a dot is part of a word: `kubernetes.io/namespace`.
  const nested = pointerTo(name.replace(/^\$\.?/, '').split(name.includes('/') ? '/' : /[.[\]'"]+/));
  const single = `/${shown.replaceAll('~', '~0').replaceAll('/', '~1')}`;
  const problem = `has the claim '${shown}', which is read as one name; a path into nested claims starts with /`;
  return finding(problem, `${entry(nested)}; or '${single}' if a single claim really has that name`);
}

const pointerTo = (steps: readonly string[]): string =>
  `/${steps
    .filter((step) => step !== '')
    .map((step) => redact(step).replaceAll('~', '~0'))
    .join('/')}`;
