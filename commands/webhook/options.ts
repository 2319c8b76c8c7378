import { REVOCATION_MODES, type WebhookEvent } from '../../src/vocabulary.ts';
import { parseOptions, text, UsageError } from '../usage.ts';
import { whomOf } from '../whom.ts';

/** @param call how a user calls this command, such as `countersign webhook`. */
export const usageOf = (
  call: string,
): string => `usage: ${call} leak --token SECRET|- [--at URL] [--kind standard|github]
       ${call} leak --sha256 HEX [--at URL]
       ${call} revoke --token-id ID [--workspace UUID]
       ${call} offboard --subject NAME [--issuer URL] | --label LABEL [--former] [--mode revoke|suspend]
       ${call} reinstate --subject NAME [--issuer URL] | --label LABEL
where:   --token - reads the secret from standard input, so that it does not show in the list of processes
         --former means those too who carried the label once and carry another now
         --id ID sends under that webhook-id: a second delivery that says the same under the id of the first does nothing
         --url URL (or COUNTERSIGN_URL) names the service
         --source NAME is the sender as its policy names it: default scanner, or hr of offboard and reinstate
         --secret-file FILE (or COUNTERSIGN_WEBHOOK_SECRET) holds the secret that this sender signs with`;

export type WebhookOptions = { readonly mode: 'help' } | ({ readonly mode: 'send' } & Sending);

export interface Sending {
  /** The service to send to, or null for the one that runs on the state directory. */
  readonly url: string | null;
  /** The file with the secret to sign with, or null for none. */
  readonly secretFile: string | null;
  /** The sender, or null for the one that usually sends this. */
  readonly source: string | null;
  /** The webhook-id, or null for a new one. */
  readonly id: string | null;
  readonly message: WebhookMessage;
}

/** A message, and the source of the local policy that sends it. */
export type WebhookMessage =
  | {
      readonly source: 'scanner' | 'hr';
      readonly event: WebhookEvent;
      readonly data: Readonly<Record<string, string | boolean>>;
    }
  | { readonly source: 'github'; readonly token: string; readonly location: string | null };

/** The options of each command. Every command also takes those of `ANYWHERE`. */
const COMMANDS = {
  leak: ['token', 'sha256', 'at', 'kind'],
  revoke: ['token-id', 'workspace'],
  offboard: ['subject', 'issuer', 'label', 'mode', 'former'],
  reinstate: ['subject', 'issuer', 'label'],
} as const;
type Command = keyof typeof COMMANDS;
const ANYWHERE = ['url', 'id', 'source', 'secret-file'] as const;

/** What differs from one host to another. */
export interface WebhookHost {
  /** How a user calls this command. */
  readonly call: string;
  /** The issuer that `--subject` means alone. Null: `--issuer` is needed. */
  readonly defaultIssuer: string | null;
}

/**
 * Reads the arguments of `countersign webhook`. It does not check ids, labels and the like: the service does, and says what is
 * wrong with them.
 *
 * @param standardInput reads standard input. It is called only for `--token -`.
 * @throws UsageError if an argument is wrong or missing.
 */
export async function readOptions(
  args: readonly string[],
  standardInput: () => Promise<string>,
  { call, defaultIssuer }: WebhookHost,
): Promise<WebhookOptions> {
  const help = `Help: ${call} --help`;
  const { values, positionals } = parse(args, `${call} --help`);
  if (values.help) return { mode: 'help' };
  const command = commandOf(positionals, help);
  const allowed: readonly string[] = [...COMMANDS[command], ...ANYWHERE];
  const stray = Object.keys(values).find((name) => !allowed.includes(name));
  if (stray !== undefined) throw new UsageError(`--${stray} does not go with ${command}. ${help}`);
  const token = values.token === '-' ? await fromStandardInput(standardInput) : values.token;
  const message = messageOf(command, { ...values, ...(token !== undefined && { token }) }, defaultIssuer);
  return {
    mode: 'send',
    url: values.url ?? null,
    secretFile: values['secret-file'] ?? null,
    source: sourceOf(values.source),
    id: idOf(values.id, message),
    message,
  };
}

const OPTIONS = {
  token: text,
  sha256: text,
  at: text,
  kind: text,
  'token-id': text,
  workspace: text,
  subject: text,
  issuer: text,
  label: text,
  mode: text,
  former: { type: 'boolean' },
  id: text,
  url: text,
  source: text,
  'secret-file': text,
  help: { type: 'boolean', short: 'h' },
} as const;

const parse = (args: readonly string[], help: string) => parseOptions(args, OPTIONS, help);

function commandOf([command, ...rest]: readonly string[], help: string): Command {
  const names = Object.keys(COMMANDS).join(', ');
  if (command === undefined) throw new UsageError(`Say what to send: ${names}. ${help}`);
  // The argument may be a secret that lost its flag, so the message does not quote it.
  if (!isCommand(command)) throw new UsageError(`The first argument is no command; there are: ${names}. ${help}`);
  if (rest.length > 0) throw new UsageError(`${command} takes options alone, each with its name. ${help}`);
  return command;
}

const isCommand = (name: string): name is Command => Object.hasOwn(COMMANDS, name);

async function fromStandardInput(read: () => Promise<string>): Promise<string> {
  const token = (await read()).trim();
  if (token !== '') return token;
  throw new UsageError('--token - reads the secret from standard input, and there was none.');
}

type Values = Omit<ReturnType<typeof parse>['values'], 'help' | 'source' | 'secret-file'>;

function messageOf(command: Command, values: Values, defaultIssuer: string | null): WebhookMessage {
  switch (command) {
    case 'leak':
      return leakOf(values);
    case 'revoke':
      if (!values['token-id']) throw new UsageError('revoke needs --token-id ID.');
      return {
        source: 'scanner',
        event: 'token.revoke',
        data: { token_id: values['token-id'], ...(values.workspace && { workspace_uuid: values.workspace }) },
      };
    case 'offboard': {
      const { mode } = values;
      if (mode !== undefined && !REVOCATION_MODES.some((known) => known === mode)) {
        throw new UsageError(`--mode takes ${REVOCATION_MODES.join(' or ')}.`);
      }
      if (values.former && !values.label) throw new UsageError('--former goes with --label LABEL.');
      return {
        source: 'hr',
        event: 'subject.offboarded',
        data: {
          ...whomOf(command, values, defaultIssuer),
          ...(mode && { mode }),
          ...(values.former && { former: true }),
        },
      };
    }
    case 'reinstate':
      return { source: 'hr', event: 'subject.reinstated', data: { ...whomOf(command, values, defaultIssuer) } };
  }
}

function leakOf({ token, sha256, at, kind = 'standard' }: Values): WebhookMessage {
  if (kind !== 'standard' && kind !== 'github') throw new UsageError('--kind takes standard or github.');
  if (kind === 'github') {
    if (sha256 !== undefined || !token) {
      throw new UsageError('leak --kind github needs --token SECRET (or --token -): GitHub sends the secret itself.');
    }
    return { source: 'github', token, location: at ?? null };
  }
  if (!token === !sha256) throw new UsageError('leak needs one of --token SECRET (or --token -) and --sha256 HEX.');
  const leaked = token ? { token } : { sha256: sha256 ?? '' };
  return { source: 'scanner', event: 'token.leaked', data: { ...leaked, ...(at !== undefined && { url: at }) } };
}

function sourceOf(source: string | undefined): string | null {
  if (source === undefined || /^[a-z][a-z0-9-]{0,39}$/.test(source)) return source ?? null;
  throw new UsageError('--source takes the name of a sender, as the policy has it: small letters, digits and hyphens.');
}

function idOf(id: string | undefined, { source }: WebhookMessage): string | null {
  if (id === undefined) return null;
  if (source === 'github') {
    throw new UsageError(
      '--id does not go with --kind github: its deliveries have no id, and are known by their body.',
    );
  }
  if (!/^[!-~]{1,200}$/.test(id)) throw new UsageError('--id takes up to 200 visible ASCII characters, no spaces.');
  return id;
}
