import { setTimeout as delay } from 'node:timers/promises';
import { UserError } from '../../local/errors.ts';
import { stateDirOf } from '../../local/settings.ts';
import { writeOutFile } from '../out-file.ts';
import { print, watchOutput, writeOutput } from '../output.ts';
import { findService } from '../service.ts';
import { printable, printableLines } from '../terminal-text.ts';
import { asUserStands } from '../user-path.ts';
import { createAuditClient, type AuditClient } from './client.ts';
import { exportAll } from './export.ts';
import { jwtSource } from './jwt.ts';
import { readOptions, USAGE, type AuditOptions } from './options.ts';
import { openPlace } from './place.ts';
import { follow, type Place, show, type Screen } from './show.ts';

/** The width for a pipe or a file, which have none. */
const CELLS_ELSEWHERE = 120;

/** Shows the trail of a service: as a table, as JSON, as it grows, or as a file. */
async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2), new Date());
  // A reader such as `head` may have seen enough. An export that is cut there has failed.
  watchOutput(options.mode === 'export' ? 1 : 0);
  if (options.mode === 'help') {
    print(USAGE);
    return;
  }
  const client = clientFor(options);
  const screen: Screen = {
    write: async (line) => await writeOutput(`${line}\n`),
    notice: (line) => console.error(line),
    cells: process.stdout.columns || CELLS_ELSEWHERE,
  };
  switch (options.mode) {
    case 'show':
      await show(client, options.parameters, options, screen);
      break;
    case 'follow':
      process.on('SIGINT', () => process.exit(0));
      await follow(
        client,
        options.parameters,
        { ...options, place: placeOf(client.url, options), sleep: delay, isStopped: () => false },
        screen,
      );
      break;
    case 'export':
      await writeExport(client, options.parameters, options);
      break;
  }
}

/** @throws UserError if the file that keeps the place is that of another question, or cannot be read. */
function placeOf(url: string, { parameters, cursorFile }: Extract<AuditOptions, { mode: 'follow' }>): Place | null {
  return cursorFile === null ? null : openPlace(asUserStands(cursorFile), { url, parameters });
}

/** @throws UserError if a request would show the JWT to the network. */
function clientFor(options: AuditOptions): AuditClient {
  const stateDir = stateDirOf(process.env);
  const service = findService(options.url ?? (process.env['COUNTERSIGN_URL'] || null), stateDir);
  if (!service.isEncrypted && !service.isLoopback) {
    throw new UserError(`${service.origin} is not encrypted, and anyone on the way could read the JWT: use https.`);
  }
  return createAuditClient({
    url: service.origin,
    jwt: jwtSource(process.env, {
      jwtFile: options.jwtFile === null ? null : asUserStands(options.jwtFile),
      isLoopback: service.isLoopback,
      stateDir,
    }),
    sleep: delay,
    notice: (line) => console.error(line),
  });
}

/** Writes the export to standard output or to a file. */
async function writeExport(
  client: AuditClient,
  parameters: Readonly<Record<string, string>>,
  { format, out, isReplacing }: Extract<AuditOptions, { mode: 'export' }>,
): Promise<void> {
  if (out === null) {
    const shown = process.stdout.isTTY ? printableLines : (text: string) => text;
    await exportAll(client, parameters, format, async (text) => await writeOutput(shown(text)));
    return;
  }
  let count = 0;
  await writeOutFile(asUserStands(out), isReplacing, async (write) => {
    count = await exportAll(client, parameters, format, write);
  });
  console.error(`${count} events in ${printable(out)}.`);
}

try {
  await main();
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
