import { parseArgs } from 'node:util';
import { UserError } from '../../local/errors.ts';
import type { CredentialHeader } from '../../src/config/issuers.ts';
import { type Permission, PERMISSIONS, TRAIL_PERMISSIONS } from '../../src/vocabulary.ts';
import { type Asked, askedSchema, OPERATIONS, OWNERS } from './asked.ts';
import type { PresentedIn } from './files.ts';
import type { Question } from './who.ts';
import { shown } from './words.ts';

export const USAGE = `usage: npm run -s policy -- explain (--jwt-file FILE | --claims FILE) OPERATION [what it asks for]
       npm run -s policy -- who --can PERMISSION [--scope a,b] [--workspace UUID] [--expires-in 30d|never] [--others]
       npm run -s policy -- test [--cases policy.cases.ts]
       npm run -s policy -- version
explain  says for each role of the caller whether it allows the request, and what falls short:
           create --workspace UUID (--scopes a,b | --preset NAME) [--expires-in 30d] [--held COUNT]
           list   --workspace UUID
           get    --workspace UUID [--owner ${OWNERS.join('|')}]
           revoke --workspace UUID [--owner …]
           update --workspace UUID [--owner …] [--scopes a,b] [--suspend | --resume --token-scopes a,b]
                  [--suspended-by owner,administrator,offboarding,leak,unused] [--token-expires-in 30d|never]
           rotate --workspace UUID --token-scopes a,b [--owner …] [--overlap 24h] [--expires-in 30d] [--held COUNT]
                  [--token-lifetime 30d|never]
           order  --workspace UUID|'*' revocations there, or of a subject ('*')
           retry  --workspace UUID …   a webhook delivery whose orders count there
           audit                       whatever audit:read is for
           resume-log                  a new log of the trail after a stop
         The JWT comes from a file, standard input (-) or COUNTERSIGN_JWT, and is not printed. --claims FILE takes its claims as
         JSON. A signature is checked where the issuer's keys are in the policy; --verify asks the issuer for its keys.
         --header cf-access says that the JWT comes in Cf-Access-Jwt-Assertion.
who      names the roles and bindings that may, and webhooks that revoke. PERMISSION is one of ${PERMISSIONS.join(', ')}.
         --others asks about the tokens of others.
test     asks each case of policy.cases.ts.
version  prints the version that events and /api/v1/status name.
policy   --policy FILE (.ts or .json) in place of policy.ts; --local takes that of npm start. explain and who take --json.
exit     0: allowed, somebody may, all cases hold. 1: denied, nobody may, a case fails. 2: it could not be asked.`;

/** Which policy is asked: a file, or that of `npm start`. */
export type PolicySource = { readonly kind: 'file'; readonly file: string | null } | { readonly kind: 'local' };

export type PolicyOptions =
  | { readonly mode: 'help' }
  | ({ readonly source: PolicySource } & (
      | {
          readonly mode: 'explain';
          readonly presented: PresentedIn;
          readonly header: CredentialHeader | null;
          readonly verify: boolean;
          readonly asked: Asked;
          readonly json: boolean;
        }
      | { readonly mode: 'who'; readonly question: Question; readonly json: boolean }
      | { readonly mode: 'test'; readonly cases: string | null }
      | { readonly mode: 'version' }
    ));

const text = { type: 'string' } as const;
const texts = { type: 'string', multiple: true } as const;
const flag = { type: 'boolean' } as const;

const OPTIONS = {
  help: flag,
  policy: text,
  local: flag,
  json: flag,
  'jwt-file': text,
  claims: text,
  header: text,
  verify: flag,
  workspace: texts,
  scopes: texts,
  preset: text,
  'expires-in': text,
  held: text,
  owner: text,
  suspend: flag,
  resume: flag,
  'suspended-by': texts,
  'token-scopes': texts,
  'token-expires-in': text,
  'token-lifetime': text,
  overlap: text,
  can: text,
  scope: texts,
  others: flag,
  cases: text,
} as const;
type OptionName = keyof typeof OPTIONS;

/** The options of each command beside those that choose the policy. */
const COMMANDS = {
  explain: [
    ...([
      'jwt-file',
      'claims',
      'header',
      'verify',
      'json',
      'workspace',
      'scopes',
      'preset',
      'expires-in',
      'held',
    ] as const),
    ...(['owner', 'suspend', 'resume', 'suspended-by', 'token-scopes', 'token-expires-in'] as const),
    ...(['overlap', 'token-lifetime'] as const),
  ],
  who: ['can', 'scope', 'workspace', 'expires-in', 'others', 'json'],
  test: ['cases'],
  version: [],
} as const satisfies Readonly<Record<string, readonly OptionName[]>>;
type Command = keyof typeof COMMANDS;

const HELP = 'Help: npm run -s policy -- --help';

/**
 * Reads the arguments of `npm run policy`.
 *
 * @param workspaceUuid the workspace of requests that name none; undefined: there is none.
 * @throws UserError if an argument is wrong or missing.
 */
export function readOptions(args: readonly string[], workspaceUuid: string | undefined): PolicyOptions {
  const { values, positionals } = parse(args);
  if (values.help) return { mode: 'help' };
  const [command = '', ...rest] = positionals;
  if (!isCommand(command)) {
    throw new UserError(`The first argument is no command; there are: ${Object.keys(COMMANDS).join(', ')}. ${HELP}`);
  }
  const known: readonly string[] = ['policy', 'local', ...COMMANDS[command]];
  const strange = Object.keys(values).find((name) => !known.includes(name));
  if (strange !== undefined) throw new UserError(`--${strange} does not go with ${command}. ${HELP}`);
  if (values.local && values.policy !== undefined)
    throw new UserError('--local and --policy name two policies: name one.');
  const source: PolicySource = values.local ? { kind: 'local' } : { kind: 'file', file: values.policy ?? null };
  if (command !== 'explain' && rest.length > 0)
    throw new UserError(`${command} takes options alone, each with its name. ${HELP}`);
  switch (command) {
    case 'explain':
      return { mode: 'explain', source, ...explainOf(values, rest, workspaceUuid) };
    case 'who':
      return { mode: 'who', source, question: questionOf(values), json: values.json === true };
    case 'test':
      return { mode: 'test', source, cases: values.cases ?? null };
    case 'version':
      return { mode: 'version', source };
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], allowPositionals: true, options: OPTIONS });
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    throw new UserError(`${shown(problem.replace(/[\s.]*$/, ''))}. ${HELP}`, { cause: error });
  }
}

const isCommand = (name: string): name is Command => Object.hasOwn(COMMANDS, name);

type Values = ReturnType<typeof parse>['values'];

function explainOf(values: Values, [operation = '', ...more]: readonly string[], workspaceUuid: string | undefined) {
  if (more.length > 0) throw new UserError(`explain takes one operation, and options with their names. ${HELP}`);
  if (values['jwt-file'] !== undefined && values.claims !== undefined) {
    throw new UserError('--jwt-file and --claims both say who asks: name one.');
  }
  if (values.verify && values.claims !== undefined) {
    throw new UserError('--verify checks the signature of a JWT, and --claims have none.');
  }
  return {
    presented: { jwtFile: values['jwt-file'] ?? null, claimsFile: values.claims ?? null },
    header: headerOf(values.header),
    verify: values.verify === true,
    asked: askedOf(operation, values, workspaceUuid),
    json: values.json === true,
  };
}

function headerOf(name: string | undefined): CredentialHeader | null {
  if (name === undefined) return null;
  if (name.toLowerCase() === 'authorization') return 'Authorization';
  if (['cf-access', 'cf-access-jwt-assertion'].includes(name.toLowerCase())) return 'Cf-Access-Jwt-Assertion';
  throw new UserError('--header takes authorization or cf-access.');
}

/** The option that says each field of a request. */
const FLAG_OF: Readonly<Record<string, string>> = {
  workspace: '--workspace',
  workspaces: '--workspace',
  scopes: '--scopes',
  preset: '--preset',
  expiresIn: '--expires-in',
  held: '--held',
  owner: '--owner',
  active: '--suspend or --resume',
  suspendedBy: '--suspended-by',
  tokenScopes: '--token-scopes',
  tokenExpiresIn: '--token-expires-in',
  tokenLifetime: '--token-lifetime',
  overlap: '--overlap',
};

/** What the options ask for. The schema of cases says which go with which operation. */
function askedOf(operation: string, values: Values, workspaceUuid: string | undefined): Asked {
  if (values.suspend && values.resume) throw new UserError('--suspend and --resume contradict each other.');
  const workspaces = values.workspace ?? (workspaceUuid ? [workspaceUuid] : []);
  const fields: Readonly<Record<string, unknown>> = {
    ...(operation === 'retry'
      ? { workspaces }
      : { workspace: operation === 'audit' || operation === 'resume-log' ? values.workspace?.[0] : workspaces[0] }),
    scopes: namesIn(values.scopes),
    preset: values.preset,
    expiresIn: values['expires-in'],
    held: values.held === undefined ? undefined : /^\d{1,9}$/.test(values.held) ? Number(values.held) : values.held,
    owner: values.owner,
    active: values.resume ? true : values.suspend ? false : undefined,
    suspendedBy: namesIn(values['suspended-by']),
    tokenScopes: namesIn(values['token-scopes']),
    tokenExpiresIn: values['token-expires-in'],
    tokenLifetime: values['token-lifetime'],
    overlap: values.overlap,
  };
  const given = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
  const parsed = askedSchema.safeParse({ operation, ...given });
  if (!parsed.success) throw new UserError(`${problemOf(operation, parsed.error.issues[0])} ${HELP}`);
  if (operation !== 'retry' && (values.workspace?.length ?? 0) > 1) {
    throw new UserError(`${operation} is for one workspace: name --workspace once.`);
  }
  return parsed.data;
}

function problemOf(
  operation: string,
  issue:
    | {
        readonly code: string;
        readonly path: readonly PropertyKey[];
        readonly message: string;
        readonly keys?: readonly string[];
      }
    | undefined,
): string {
  const [field] = issue?.path ?? [];
  if (field === 'operation') {
    const what =
      operation === '' ? 'explain takes an operation' : `${JSON.stringify(shown(operation))} is no operation`;
    return `${what}; there are: ${OPERATIONS.join(', ')}.`;
  }
  if (issue?.code === 'unrecognized_keys') {
    return `${(issue.keys ?? []).map((key) => FLAG_OF[key] ?? key).join(', ')} does not go with ${operation}.`;
  }
  const name = FLAG_OF[String(field)] ?? String(field);
  if (name === '--workspace') return `${operation} needs --workspace UUID (or PIPEOPS_WORKSPACE_UUID).`;
  if (name === '--held') return '--held takes a whole number of live tokens.';
  return `${name} ${issue?.message ?? 'is wrong'}.`;
}

/** Names with commas between them, in one option or in several. */
const namesIn = (values: readonly string[] | undefined): readonly string[] | undefined =>
  values?.flatMap((value) => value.split(',').map((name) => name.trim())).filter((name) => name !== '');

function questionOf(values: Values): Question {
  const { can, workspace = [] } = values;
  const permission = PERMISSIONS.find((name) => name === can);
  if (permission === undefined) throw new UserError(`who needs --can, with one of ${PERMISSIONS.join(', ')}. ${HELP}`);
  if (workspace.length > 1) throw new UserError('who asks about one workspace: name --workspace once.');
  const question = {
    permission,
    scopes: namesIn(values.scope) ?? [],
    workspace: workspace[0] ?? null,
    expiresIn: values['expires-in'] ?? null,
    others: values.others === true,
  };
  refuse(question.scopes.length > 0, 'scope', ['tokens:create', 'tokens:update'], permission);
  refuse(question.expiresIn !== null, 'expires-in', ['tokens:create'], permission);
  refuse(
    question.workspace !== null,
    'workspace',
    PERMISSIONS.filter((name) => !TRAIL_PERMISSIONS.some((one) => one === name)),
    permission,
  );
  refuse(question.others, 'others', ['tokens:read', 'tokens:update', 'tokens:revoke'], permission);
  return question;
}

function refuse(isGiven: boolean, name: string, goesWith: readonly Permission[], permission: Permission): void {
  if (!isGiven || goesWith.includes(permission)) return;
  throw new UserError(`--${name} says nothing about ${permission}: it goes with ${goesWith.join(', ')}.`);
}
