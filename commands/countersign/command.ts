import type { ParseArgsConfig } from 'node:util';
import type { Client } from '../../package/client/client.ts';
import { checkOut } from '../audit/options.ts';
import { writeOutFile } from '../out-file.ts';
import { print, watchOutput } from '../output.ts';
import { chooseOne, flag, parseOptions, text, UsageError } from '../usage.ts';
import { connect, CONNECTION_OPTIONS, CONNECTION_USAGE, problemOf } from './connection.ts';
import type { Host, LocalRole } from './host.ts';
import { type Output, outputTo, STANDARD_OUTPUT } from './result.ts';

type Options = NonNullable<ParseArgsConfig['options']>;

const COMMON_OPTIONS = {
  ...CONNECTION_OPTIONS,
  json: flag,
  table: flag,
  out: text,
  force: flag,
  help: { ...flag, short: 'h' },
} as const;

export const COMMON_USAGE = `common:  --json writes JSON, --table a table. Default: a table on a terminal, else JSON
         --out FILE [--force] writes JSON to a file of its owner alone
${CONNECTION_USAGE}`;

/** What a user can ask for. */
export interface Command {
  /** Such as `tokens create`. */
  readonly words: string;
  /** What it does, in one line. */
  readonly about: string;
  /** How it is used, without the command itself. */
  readonly usage: string;
  run(args: readonly string[], host: Host): Promise<void>;
}

type Values<O extends Options> = ReturnType<typeof parseOptions<O & typeof COMMON_OPTIONS>>['values'];

interface Definition<O extends Options> extends Omit<Command, 'run'> {
  readonly options: O;
  /** The names of what stands without an option, such as `ID`. All are needed. */
  readonly operands?: readonly string[];
  /** The JWT that a checkout makes for its own service. */
  readonly role: LocalRole;
  /** What a caller needs, for messages. */
  readonly permission: string;
  /** Reads what is asked for, before anything is sent, and gives what sends it. @throws UsageError */
  prepare(asked: Asked<O>): (client: Client, output: Output) => Promise<void>;
  /** Whether `--out` takes something else than the result: `prepare` then sees to it. */
  readonly hasOwnOut?: boolean;
}

export interface Asked<O extends Options> {
  readonly values: Values<O>;
  readonly operands: readonly string[];
  readonly host: Host;
}

/** Makes a command of what is special about it. */
export function defineCommand<const O extends Options>(definition: Definition<O>): Command {
  const { words, about, usage, options, operands = [], role, permission } = definition;
  return {
    words,
    about,
    usage,
    run: async (args, host) => {
      watchOutput();
      const help = `${host.call(words)} --help`;
      const { values, positionals } = parseOptions(args, { ...COMMON_OPTIONS, ...options }, help);
      const common = parsedCommon(values);
      if (common.help) {
        print(`usage: ${host.call(words)} ${usage}\n${about}\n${COMMON_USAGE}`);
        return;
      }
      if (positionals.length < operands.length) {
        throw new UsageError(`${words} needs ${operands.slice(positionals.length).join(' and ')}. Help: ${help}`);
      }
      if (positionals.length > operands.length) {
        throw new UsageError(`${words} takes ${operands.join(' and ') || 'options alone'}. Help: ${help}`);
      }
      chooseOne(common, 'json', 'table');
      checkOut(common.out, common.force);
      const send = definition.prepare({ values, operands: positionals, host });
      const client = connect(host, common, { role, notice: (line) => console.error(line) });
      try {
        if (common.out === undefined || definition.hasOwnOut === true) {
          await send(client, outputTo(STANDARD_OUTPUT, common));
        } else {
          await writeOutFile(host.pathOf(common.out), common.force, async (write) => {
            await send(client, outputTo({ ...STANDARD_OUTPUT, write, cells: null }, {}));
          });
        }
      } catch (error) {
        throw problemOf(error, { host, origin: client.origin, permission });
      }
    },
  };
}

type Common = ReturnType<typeof parseOptions<typeof COMMON_OPTIONS>>['values'];

/** The options of all commands among those of one. */
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- every command takes them
const parsedCommon = (values: object): Common => values as Common;
