import { exec } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { errorCode, UserError } from '../../local/errors.ts';
import { isJwt } from '../../package/client/jwt.ts';
import { redact } from '../../src/kit/redaction.ts';
import { printable } from '../terminal-text.ts';
import { UsageError } from '../usage.ts';

/** Gives the JWT for the next request. */
export type JwtSource = () => Promise<string>;

/** Where a JWT may come from. */
export interface JwtOptions {
  /** A file, from the folder where the user stands. */
  readonly file: string | null;
  /** A line for the shell that prints a JWT. */
  readonly command: string | null;
  /** What makes a JWT for a service on this machine, or null if nothing does. */
  readonly local: JwtSource | null;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Chooses where the JWT comes from: an option, else an environment variable, else, for a service on this machine, the issuer that
 * `npm start` made. It is never an argument, because other users of the machine could read that.
 *
 * @throws UsageError if there is no JWT, or two options name one.
 */
export function jwtSource(environment: Environment, { file, command, local }: JwtOptions): JwtSource {
  if (file !== null && command !== null) throw new UsageError('--jwt-file and --jwt-command: choose one.');
  if (file !== null) return fromFile(file);
  if (command !== null) return fromCommand(command);
  const given = environment['COUNTERSIGN_JWT']?.trim();
  if (given) return async () => await Promise.resolve(checked(given, 'COUNTERSIGN_JWT'));
  const fileByVariable = environment['COUNTERSIGN_JWT_FILE'];
  if (fileByVariable) return fromFile(fileByVariable);
  const commandByVariable = environment['COUNTERSIGN_JWT_COMMAND'];
  if (commandByVariable) return fromCommand(commandByVariable);
  if (local !== null) return local;
  throw new UsageError(
    'No JWT: Set COUNTERSIGN_JWT, or name a file with --jwt-file, or what prints one with --jwt-command. It must come from an issuer of that service.',
  );
}

/** The JWT in a file may be replaced while events are followed. */
function fromFile(file: string): JwtSource {
  // What a pipe such as bash's `<(…)` held is gone after the first request.
  let kept: string | null = null;
  return async () => {
    const jwt = kept ?? checked(readJwtFile(file), file);
    if (!statSync(file).isFile()) kept = jwt;
    return await Promise.resolve(jwt);
  };
}

function readJwtFile(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new UsageError(
      `${file} cannot be read (${errorCode(error) ?? 'unknown'}): --jwt-file names a file with a JWT.`,
      { cause: error },
    );
  }
}

/** A command that asks somebody to log in may wait for them. */
const COMMAND_TIMEOUT_MS = 120_000;
const COMMAND_MAX_BYTES = 1024 * 1024;

/** The user's shell runs the line, so that quotes, variables and pipes mean what they mean at the prompt. */
const fromCommand = (line: string) => async (): Promise<string> =>
  await new Promise<string>((resolve, reject) => {
    const options = { timeout: COMMAND_TIMEOUT_MS, maxBuffer: COMMAND_MAX_BYTES };
    const child = exec(line, options, (error, stdout, stderr) => {
      if (error === null) {
        try {
          resolve(checked(stdout.trim(), '--jwt-command'));
        } catch (problem) {
          reject(problem instanceof Error ? problem : new Error(String(problem)));
        }
        return;
      }
      const [said = ''] = stderr.trim().split('\n', 1);
      const ending =
        error.killed === true ? 'did not end in time' : `failed (${error.code ?? error.signal ?? 'unknown'})`;
      reject(new UserError(`--jwt-command ${ending}${said === '' ? '.' : `: ${printable(redact(said))}`}`));
    });
    // A command that reads would wait for ever.
    child.stdin?.end();
  });

/** Checks the form of a JWT. The message never shows the JWT itself. */
function checked(jwt: string, source: string): string {
  if (isJwt(jwt)) return jwt;
  throw new UsageError(`${source} does not hold a JWT and nothing else: three parts with dots between them.`);
}
