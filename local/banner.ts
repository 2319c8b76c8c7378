import { PEOPLE } from './people/people.ts';
import { LOCAL_ROLES } from './policy.ts';

export interface BannerFacts {
  readonly url: string;
  readonly upstream: { readonly kind: 'simulator' | 'configured'; readonly url: string };
  readonly stateDir: string;
  readonly logFile: string;
  /** The workspace of requests that name none, or null if each must name one. */
  readonly defaultWorkspaceUuid: string | null;
  readonly adminJwt: string;
  readonly ciJwt: string;
  readonly jwtLifetime: string;
  /** How people sign in at the console, or the line that says why nobody can. */
  readonly signIn: { readonly code: string | null } | string;
  /** What the cosignatures of the witness are checked with; null or absent: there is no witness. */
  readonly witness?: string | null;
}

/** The text that `npm start` shows: where the console and the service are, two JWTs, and lines to paste one after another. */
export function banner(facts: BannerFacts): string {
  const pipeops =
    facts.upstream.kind === 'simulator'
      ? `a simulator at ${facts.upstream.url}; set PIPEOPS_API_URL and PIPEOPS_ADMIN_TOKEN to use another`
      : facts.upstream.url;
  return [
    '',
    typeof facts.signIn === 'string' ? facts.signIn : `Console: ${facts.url}/console`,
    '',
    `Countersign is ready at ${facts.url}`,
    ...(typeof facts.signIn === 'string' ? [] : peopleLines(facts.signIn.code)),
    `  PipeOps  ${pipeops}`,
    `  Data     ${facts.stateDir}`,
    `  Docs     ${facts.url}/docs`,
    ...(typeof facts.witness === 'string' ? [`  Witness  ${facts.witness}`] : []),
    `  Log      ${facts.logFile}, a JSON line per request`,
    '  Stop     Ctrl-C; the data stays',
    '',
    `JWTs for ${facts.jwtLifetime}: ADMIN may do everything, CI may create, read and revoke tokens of its own.`,
    `More of them: npm run -s token -- --sub NAME --role ${LOCAL_ROLES.join('|')}`,
    '',
    ...(facts.upstream.kind === 'simulator' ? ['A first look, in another terminal: npm run demo', ''] : []),
    'Paste into another terminal, line by line or all at once:',
    '',
    `URL=${facts.url}`,
    `ADMIN=${facts.adminJwt}`,
    `CI=${facts.ciJwt}`,
    ...curlLines(facts.defaultWorkspaceUuid),
    '',
    '',
  ].join('\n');
}

const peopleLines = (code: string | null): readonly string[] => [
  `  People   ${PEOPLE.map(({ subject, role }) => `${subject} (${role})`).join(', ')}; the console asks who you are`,
  ...(code === null ? [] : [`  Code     ${code}, which it asks for too, because this PipeOps is not the simulator`]),
];

/**
 * Lines for any shell. They have no comments, because zsh runs those, and need only curl and sed. curl would send even what is for this
 * machine through the proxy of http_proxy.
 */
function curlLines(defaultWorkspaceUuid: string | null): string[] {
  const query = defaultWorkspaceUuid === null ? '?workspace_uuid=$WORKSPACE' : '';
  const tokens = `"$URL/api/v1/service-account-tokens${query}"`;
  const token = `"$URL/api/v1/service-account-tokens/$ID${query}"`;
  const body = `'{"name":"deploy","scopes":["api:read"],"expires_in":"30d"}'`;
  return [
    ...(defaultWorkspaceUuid === null ? ['WORKSPACE=the-uuid-of-your-workspace'] : []),
    `CREATED=$(curl -sS --noproxy 127.0.0.1 ${tokens} ${as('CI')} -H 'Content-Type: application/json' -d ${body})`,
    `printf '%s\\n' "$CREATED"`,
    `ID=$(printf '%s' "$CREATED" | sed 's/.*"uuid":"\\([^"]*\\)".*/\\1/')`,
    `curl -sS --noproxy 127.0.0.1 -w '\\n' ${tokens} ${as('CI')}`,
    `curl -sS --noproxy 127.0.0.1 -w '\\n' -X DELETE ${token} ${as('CI')}`,
    `curl -sS --noproxy 127.0.0.1 -w '\\n' "$URL/api/v1/audit/events?limit=10" ${as('ADMIN')}`,
  ];
}

const as = (caller: 'ADMIN' | 'CI'): string => `-H "Authorization: Bearer $${caller}"`;
