import { parseArgs } from 'node:util';
import { UserError } from '../../local/errors.ts';
import { LOCAL_ISSUER } from '../../local/issuer.ts';
import { REVOCATION_MODES, type WebhookEvent } from '../../src/vocabulary.ts';

export const USAGE = `usage: npm run -s webhook -- leak --token SECRET|- [--at URL] [--kind standard|github]
       npm run -s webhook -- leak --sha256 HEX [--at URL]
       npm run -s webhook -- revoke --token-id ID [--workspace UUID]
       npm run -s webhook -- offboard --subject NAME [--issuer URL] | --label LABEL [--former] [--mode revoke|suspend]
       npm run -s webhook -- reinstate --subject NAME [--issuer URL] | --label LABEL
where:   --token - reads the secret from standard input, so that it does not show in the list of processes
         --former means those too who carried the label once and carry another now
         --id ID sends under that webhook-id: a second delivery that says the same under the id of the first does nothing
         --url URL names a service on this machine other than that of STATE_DIR`;

export type WebhookOptions = { readonly mode: 'help' } | ({ readonly mode: 'send' } & Sending);

export interface Sending {
  /** The service to send to, or null for the one that runs on the state directory. */
  readonly url: string | null;
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

/** The options of each command. Every command also takes `--url` and `--id`. */
const COMMANDS = {
  leak: ['token', 'sha256', 'at', 'kind'],
  revoke: ['token-id', 'workspace'],
  offboard: ['subject', 'issuer', 'label', 'mode', 'former'],
  reinstate: ['subject', 'issuer', 'label'],
} as const;
type Command = keyof typeof COMMANDS;

const HELP = 'Help: npm run -s webhook -- --help';
const text = { type: 'string' } as const;

/**
 * Reads the arguments of `npm run webhook`. It does not check ids, labels and the like: the service does, and says what is
 * wrong with them.
 *
 * @param standardInput reads standard input. It is called only for `--token -`.
 * @throws UserError if an argument is wrong or missing.
 */
export async function readOptions(
  args: readonly string[],
  standardInput: () => Promise<string>,
): Promise<WebhookOptions> {
  const { values, positionals } = parse(args);
  if (values.help) return { mode: 'help' };
  const command = commandOf(positionals);
  const allowed: readonly string[] = [...COMMANDS[command], 'url', 'id'];
  const stray = Object.keys(values).find((name) => !allowed.includes(name));
  if (stray !== undefined) throw new UserError(`--${stray} does not go with ${command}. ${HELP}`);
  const token = values.token === '-' ? await fromStandardInput(standardInput) : values.token;
  const message = messageOf(command, { ...values, ...(token !== undefined && { token }) });
  return { mode: 'send', url: values.url ?? null, id: idOf(values.id, message), message };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
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
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    const problem = error instanceof Error ? (error.message.split('\n', 1)[0] ?? '') : String(error);
    throw new UserError(`${problem.replace(/[\s.]*$/, '')}. ${HELP}`, { cause: error });
  }
}

function commandOf([command, ...rest]: readonly string[]): Command {
  const names = Object.keys(COMMANDS).join(', ');
  if (command === undefined) throw new UserError(`Say what to send: ${names}. ${HELP}`);
  // The argument may be a secret that lost its flag, so the message does not quote it.
  if (!isCommand(command)) throw new UserError(`The first argument is no command; there are: ${names}. ${HELP}`);
  if (rest.length > 0) throw new UserError(`${command} takes options alone, each with its name. ${HELP}`);
  return command;
}

const isCommand = (name: string): name is Command => Object.hasOwn(COMMANDS, name);

async function fromStandardInput(read: () => Promise<string>): Promise<string> {
  const token = (await read()).trim();
  if (token !== '') return token;
  throw new UserError('--token - reads the secret from standard input, and there was none.');
}

type Values = Omit<ReturnType<typeof parse>['values'], 'help'>;

function messageOf(command: Command, values: Values): WebhookMessage {
  switch (command) {
    case 'leak':
      return leakOf(values);
    case 'revoke':
      if (!values['token-id']) throw new UserError('revoke needs --token-id ID.');
      return {
        source: 'scanner',
        event: 'token.revoke',
        data: { token_id: values['token-id'], ...(values.workspace && { workspace_uuid: values.workspace }) },
      };
    case 'offboard': {
      const { mode } = values;
      if (mode !== undefined && !REVOCATION_MODES.some((known) => known === mode)) {
        throw new UserError(`--mode takes ${REVOCATION_MODES.join(' or ')}.`);
      }
      if (values.former && !values.label) throw new UserError('--former goes with --label LABEL.');
      return {
        source: 'hr',
        event: 'subject.offboarded',
        data: { ...whomOf(command, values), ...(mode && { mode }), ...(values.former && { former: true }) },
      };
    }
    case 'reinstate':
      return { source: 'hr', event: 'subject.reinstated', data: whomOf(command, values) };
  }
}

function leakOf({ token, sha256, at, kind = 'standard' }: Values): WebhookMessage {
  if (kind !== 'standard' && kind !== 'github') throw new UserError('--kind takes standard or github.');
  if (kind === 'github') {
    if (sha256 !== undefined || !token) {
      throw new UserError('leak --kind github needs --token SECRET (or --token -): GitHub sends the secret itself.');
    }
    return { source: 'github', token, location: at ?? null };
  }
  if (!token === !sha256) throw new UserError('leak needs one of --token SECRET (or --token -) and --sha256 HEX.');
  const leaked = token ? { token } : { sha256: sha256 ?? '' };
  return { source: 'scanner', event: 'token.leaked', data: { ...leaked, ...(at !== undefined && { url: at }) } };
}

function whomOf(command: Command, { subject, issuer, label }: Values): Readonly<Record<string, string>> {
  if (!subject === !label) throw new UserError(`${command} needs one of --subject NAME and --label LABEL.`);
  if (subject) return { issuer: issuer ?? LOCAL_ISSUER, subject };
  if (issuer !== undefined) throw new UserError('--issuer goes with --subject: a label counts at every issuer.');
  return { label: label ?? '' };
}

function idOf(id: string | undefined, { source }: WebhookMessage): string | null {
  if (id === undefined) return null;
  if (source === 'github') {
    throw new UserError('--id does not go with --kind github: its deliveries have no id, and are known by their body.');
  }
  if (!/^[!-~]{1,200}$/.test(id)) throw new UserError('--id takes up to 200 visible ASCII characters, no spaces.');
  return id;
}
