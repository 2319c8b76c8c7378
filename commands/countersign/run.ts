import { runAudit } from '../audit/run.ts';
import { print, watchOutput } from '../output.ts';
import { UsageError } from '../usage.ts';
import { runWebhook } from '../webhook/run.ts';
import type { Command } from './command.ts';
import { INCIDENT_COMMANDS } from './incident.ts';
import type { Host } from './host.ts';
import { SERVICE_COMMANDS } from './service.ts';
import { TOKEN_COMMANDS } from './tokens.ts';

const COMMANDS: readonly Command[] = [
  ...TOKEN_COMMANDS,
  ...INCIDENT_COMMANDS,
  {
    words: 'audit',
    about: 'Reads the trail: filters it, counts it, follows it, exports it.',
    usage: '[filters] …',
    run: runAudit,
  },
  {
    words: 'webhook',
    about: 'Sends a signed webhook, as a scanner or an HR system does.',
    usage: 'leak|revoke|offboard|reinstate …',
    run: runWebhook,
  },
  ...SERVICE_COMMANDS,
];

/**
 * Runs the command that the arguments name.
 *
 * @param version of the package.
 * @throws UsageError if they name none.
 */
export async function run(args: readonly string[], host: Host, version: string): Promise<void> {
  const command = COMMANDS.toSorted((one, other) => other.words.length - one.words.length).find(({ words }) =>
    words.split(' ').every((word, index) => args[index] === word),
  );
  if (command !== undefined) {
    await command.run(args.slice(command.words.split(' ').length), host);
    return;
  }
  const [first, second] = args;
  if (args.length === 1 && first === '--version') {
    watchOutput();
    print(version);
    return;
  }
  const family = COMMANDS.filter(({ words }) => words.startsWith(`${first ?? ''} `));
  const isHelp = (word: string | undefined): boolean => word === '--help' || word === '-h';
  if (isHelp(first) || first === 'help' || (family.length > 0 && isHelp(second))) {
    watchOutput();
    print(helpOf(family.length > 0 ? family : COMMANDS, host));
    return;
  }
  // The argument may be a secret that lost its flag, so the message does not quote it.
  const what =
    first === undefined
      ? 'Say what to do'
      : family.length > 0
        ? `Say what to do with ${first}`
        : 'There is no such command. There are';
  const names = (family.length > 0 ? family : COMMANDS).map(({ words }) => words).join(', ');
  throw new UsageError(`${what}: ${names}. Help: ${host.call('--help')}`);
}

function helpOf(commands: readonly Command[], host: Host): string {
  const widest = Math.max(...commands.map(({ words }) => words.length));
  const lines = commands.map(({ words, about }) => `  ${words.padEnd(widest)}  ${about.split('\n', 1)[0] ?? ''}`);
  return `usage: ${host.call('COMMAND …')}\n\n${lines.join('\n')}\n\n${host.call('COMMAND --help')} says more of a command. Exit codes: 0 done, 1 refused or failed, 2 not a command.`;
}
