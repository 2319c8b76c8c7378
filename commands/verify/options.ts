import { readFileSync } from 'node:fs';
import { reasonOf } from '../../local/errors.ts';
import { parseVerifier, type Verifier } from '../../src/tlog/note.ts';
import { CONNECTION_OPTIONS, CONNECTION_USAGE, type ConnectionOptions } from '../countersign/connection.ts';
import { printable } from '../terminal-text.ts';
import { flag, parseOptions, text, texts, UsageError } from '../usage.ts';
import { isLogName } from './judge/keys.ts';

/** @param call how a user calls this command, such as `countersign verify`. */
export const usageOf = (call: string): string => {
  const indent = ' '.repeat('usage: '.length);
  return `usage: ${call} --url URL --key KEY [--state FILE] [--export-tlog DIR]
${indent}${call} --tlog DIR --export FILE --key KEY [--state FILE]
${indent}${call} --new-key NAME
Checks that no sealed event of the trail was changed, dropped, back-dated or forked. It trusts the pinned key, and what you have seen before.
         --key KEY      the verifier key of the log, or a file with it; a further one after a key was lost. In a checkout, the
                        key of the service that runs there need not be named, except for files
         --state FILE   your own record of checkpoints: the log must go on from each, and a good run adds the new one
         --against FILE checkpoints that somebody else has seen, such as another auditor or an anchor; may be repeated
         --witness KEY  the verifier key of a witness who must have cosigned; may be repeated
         --quorum N     so many of them are enough. Default: all
         --tlog DIR     the files of the logs, as --export-tlog writes them from a service
         --export FILE  the trail, as audit --export ndjson --latest writes it after that; it may be gzipped (.gz)
         --json         writes the result as JSON
         --new-key NAME prints a new TRAIL_KEY for a log of this name, and its verifier key on standard error
${CONNECTION_USAGE}
Exit codes: 0 good, 1 wrong, 2 cannot tell, 3 not a command.`;
};

export type VerifyOptions =
  | { readonly mode: 'help' }
  | { readonly mode: 'new-key'; readonly name: string }
  | {
      readonly mode: 'verify';
      readonly connection: ConnectionOptions;
      readonly offline: { readonly folder: string; readonly exportFile: string } | null;
      readonly exportTo: string | null;
      readonly pins: readonly Verifier[];
      readonly state: string | null;
      readonly against: readonly string[];
      readonly witnesses: readonly Verifier[];
      readonly quorum: number;
      readonly json: boolean;
    };

const OPTIONS = {
  key: texts,
  tlog: text,
  export: text,
  'export-tlog': text,
  state: text,
  against: texts,
  witness: texts,
  quorum: text,
  'new-key': text,
  json: flag,
  ...CONNECTION_OPTIONS,
  help: { ...flag, short: 'h' },
} as const;

/**
 * Reads the arguments.
 *
 * @param pathOf a path that a user names, from the folder where the user stands.
 * @param localKeyFile the file with the verifier key of a service on this machine, for whoever names no key. Null: there is none.
 * @throws UsageError if an argument is wrong, or two do not go together.
 */
export function readOptions(
  args: readonly string[],
  pathOf: (named: string) => string,
  call = 'countersign verify',
  localKeyFile: (connection: ConnectionOptions) => string | null = () => null,
): VerifyOptions {
  const help = `Help: ${call} --help`;
  const { values, positionals } = parseOptions(args, OPTIONS, `${call} --help`);
  if (values.help) return { mode: 'help' };
  if (positionals.length > 0) throw new UsageError(`Unexpected argument: options have names. ${help}`);
  const name = values['new-key'];
  if (name !== undefined) {
    const others = Object.entries(values).filter(([, value]) => value !== undefined && value !== false);
    if (others.length > 1) throw new UsageError('--new-key stands alone.');
    if (isLogName(name)) return { mode: 'new-key', name };
    throw new UsageError(
      '--new-key takes the name of a log, such as countersign.example.com/trail: no spaces, no +, and no number behind the last slash.',
    );
  }
  const { tlog, export: exported, url } = values;
  if ((tlog === undefined) !== (exported === undefined)) {
    throw new UsageError('--tlog and --export go together: the files of the log, and the trail that it seals.');
  }
  if (tlog !== undefined && url !== undefined) throw new UsageError('--url and --tlog: choose one.');
  if (tlog !== undefined && values['export-tlog'] !== undefined) {
    throw new UsageError('--export-tlog copies the log of a service: it goes with --url.');
  }
  const localKey = values.key === undefined && tlog === undefined ? localKeyFile(values) : null;
  const pins =
    localKey === null ? (values.key ?? []).map((key) => keyOf(key, pathOf)) : [keyOf(localKey, (absolute) => absolute)];
  if (pins.length === 0) {
    throw new UsageError(
      `Which key? Pin the verifier key of the log with --key. Take it from the operator once, by another way than the log. ${help}`,
    );
  }
  if (pins.some((pin) => pin.name !== pins[0]?.name)) {
    throw new UsageError('The keys of --key have different names. All are named like the first log.');
  }
  const witnesses = (values.witness ?? []).map((key) => {
    const verifier = parseVerifier(key.trim());
    if (verifier?.kind === 'witness') return verifier;
    throw new UsageError(
      '--witness takes the verifier key of a witness: its name, an id and base64 with + between them.',
    );
  });
  return {
    mode: 'verify',
    connection: values,
    offline:
      tlog === undefined || exported === undefined ? null : { folder: pathOf(tlog), exportFile: pathOf(exported) },
    exportTo: values['export-tlog'] === undefined ? null : pathOf(values['export-tlog']),
    pins,
    state: values.state === undefined ? null : pathOf(values.state),
    against: (values.against ?? []).map(pathOf),
    witnesses,
    quorum: quorumOf(values.quorum, witnesses.length),
    json: values.json,
  };
}

/** Reads a verifier key, or a file with one. A private key is none, and is not quoted. */
function keyOf(named: string, pathOf: (named: string) => string): Verifier {
  const direct = parseVerifier(named.trim());
  if (direct?.kind === 'log' && isLogName(direct.name)) return direct;
  const problem = (what: string): UsageError =>
    new UsageError(
      `--key ${what}. It takes the verifier key of the first log, such as countersign.example.com/trail+1a2b3c4d+AQ…, or a file with it.`,
    );
  if (named.startsWith('PRIVATE+KEY+')) {
    throw problem('is a private key, which other users of this machine may have seen by now: replace it');
  }
  if (direct !== null || named.includes('+')) throw problem('is not the verifier key of a log');
  let content: string;
  try {
    content = readFileSync(pathOf(named), 'utf8');
  } catch (error) {
    throw problem(`names ${printable(named)}, which cannot be read: ${reasonOf(error)}`);
  }
  const verifier = parseVerifier(content.trim());
  if (verifier?.kind === 'log' && isLogName(verifier.name)) return verifier;
  throw problem(`names ${printable(named)}, which holds no verifier key of a log`);
}

function quorumOf(quorum: string | undefined, witnesses: number): number {
  if (quorum === undefined) return witnesses;
  const number = /^[1-9]\d{0,2}$/.test(quorum) ? Number(quorum) : 0;
  if (number >= 1 && number <= witnesses) return number;
  throw new UsageError(`--quorum takes a number from 1 to the number of --witness, which is ${witnesses}.`);
}
