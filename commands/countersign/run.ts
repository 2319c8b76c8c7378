import { runAudit } from '../audit/run.ts';
import { print, watchOutput } from '../output.ts';
import { UsageError } from '../usage.ts';
import { runVerify } from '../verify/run.ts';
import { runWebhook } from '../webhook/run.ts';
import type { Command } from './command.ts';
import { INCIDENT_COMMANDS } from './incident.ts';
import type { Host } from './host.ts';
import { inventory } from './inventory.ts';
import { MINT_COMMANDS } from './mint.ts';
import { SERVICE_COMMANDS } from './service.ts';
import { TOKEN_COMMANDS } from './tokens.ts';
import { TRAIL_COMMANDS } from './trail.ts';
import { whose } from './whose.ts';

const COMMANDS: readonly Command[] = [
  inventory,
  ...TOKEN_COMMANDS,
  ...MINT_COMMANDS,
  whose,
  ...INCIDENT_COMMANDS,
  {
    words: 'audit',
    about: 'Reads the trail: filters it, counts it, follows it, exports it.',
    usage: '[filters] …',
    run: runAudit,
  },
  {
    words: 'verify',
    about:
      'Checks the trail against its transparency log. Exit codes: 0 good, 1 wrong, 2 cannot tell, 3 not a command.',
    usage: '--key KEY [--state FILE] …',
    run: runVerify,
  },
  {
    words: 'webhook',
    about: 'Sends a signed webhook, as a scanner or an HR system does.',
    usage: 'leak|revoke|offboard|reinstate …',
    run: runWebhook,
  },
  ...TRAIL_COMMANDS,
  ...SERVICE_COMMANDS,
];

/**
 * Runs the command that the arguments name.
 *
 * @param version of the package.
 * @throws UsageError if they name none.
 */
export async function run(args: readonly string[], host: Host, version: string): Promise<void> {
  const [first, second] = args;
  const family = COMMANDS.filter(({ words }) => words === first || words.startsWith(`${first ?? ''} `));
  const command = COMMANDS.toSorted((one, other) => other.words.length - one.words.length).find(({ words }) =>
    words.split(' ').every((word, index) => args[index] === word),
  );
  const isHelp = (word: string | undefined): boolean => word === '--help' || word === '-h';
  const isFamily = family.some(({ words }) => words !== first);
  if (isHelp(first) || first === 'help' || (isFamily && isHelp(second))) {
    watchOutput();
    print(helpOf(isFamily ? family : COMMANDS, host));
    if (command === undefined) return;
    print('');
  }
  // A word behind `tokens` that is no command of its own is a mistake, and not a token.
  const isMistaken = isFamily && command?.words === first && second !== undefined && !second.startsWith('-');
  if (command !== undefined && !isMistaken) {
    await command.run(args.slice(command.words.split(' ').length), host);
    return;
  }
  if (args.length === 1 && first === '--version') {
    watchOutput();
    print(version);
    return;
  }
  // The argument may be a secret that lost its flag, so the message does not quote it.
  const what =
    first === undefined
      ? 'Say what to do'
      : isFamily
        ? `Say what to do with ${first}`
        : 'There is no such command. There are';
  const names = (isFamily ? family : COMMANDS).map(({ words }) => words).join(', ');
  throw new UsageError(`${what}: ${names}. Help: ${host.call('--help')}`);
}

function helpOf(commands: readonly Command[], host: Host): string {
  const widest = Math.max(...commands.map(({ words }) => words.length));
  const lines = commands.map(({ words, about }) => `  ${words.padEnd(widest)}  ${about.split('\n', 1)[0] ?? ''}`);
  return `usage: ${host.call('COMMAND …')}\n\n${lines.join('\n')}\n\n${host.call('COMMAND --help')} says more of a command. Exit codes: 0 done, 1 refused or failed, 2 not a command.`;
}
