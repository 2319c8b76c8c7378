import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '../../package/client/client.ts';
import type { AuditCount } from '../../package/client/types.ts';
import type { Column } from '../columns.ts';
import { connect, problemOf } from '../countersign/connection.ts';
import type { Host } from '../countersign/host.ts';
import { type Output, outputTo, STANDARD_OUTPUT } from '../countersign/result.ts';
import { writeOutFile } from '../out-file.ts';
import { print, watchOutput, writeOutput } from '../output.ts';
import { printable, printableLines } from '../terminal-text.ts';
import { exportAll } from './export.ts';
import { type AuditOptions, readOptions, usageOf } from './options.ts';
import { growingFile, openPlace } from './place.ts';
import { follow, show } from './show.ts';

type Asking<Mode> = Extract<AuditOptions, { mode: Mode }>;

/** Shows the trail of a service: as a table, as JSON, counted, as it grows, or as a file. */
export async function runAudit(args: readonly string[], host: Host): Promise<void> {
  const options = readOptions(args, new Date(), host.call('audit'));
  // A reader such as `head` may have seen enough. An export that is cut there has failed.
  watchOutput(options.mode === 'export' ? 1 : 0);
  if (options.mode === 'help') {
    print(usageOf(host.call('audit')));
    return;
  }
  const client = connect(host, options.connection, { role: 'auditor', notice: (line) => console.error(line) });
  try {
    await answer(client, options, host);
  } catch (error) {
    throw problemOf(error, { host, origin: client.origin, permission: 'audit:read' });
  }
}

async function answer(client: Client, options: Exclude<AuditOptions, { mode: 'help' }>, host: Host): Promise<void> {
  switch (options.mode) {
    case 'show':
      await toOutput(options, host, async (output) => await show(client, options.filter, options, output));
      break;
    case 'count':
      await toOutput(options, host, async (output) => await count(client, options, output));
      break;
    case 'follow':
      await runFollow(client, options, host);
      break;
    case 'export':
      await writeExport(client, options, host);
      break;
  }
}

/** Runs what writes to standard output, or to the file that `--out` names. */
async function toOutput(
  options: Asking<'show' | 'count'>,
  host: Host,
  run: (output: Output) => Promise<void>,
): Promise<void> {
  const { out, isReplacing } = options;
  if (out === null) {
    await run(outputTo(STANDARD_OUTPUT, options));
    return;
  }
  await writeOutFile(host.pathOf(out), isReplacing, async (write) => {
    await run(outputTo({ ...STANDARD_OUTPUT, write, cells: null }, {}));
  });
}

const COUNT_COLUMNS = [
  { title: 'COUNT', least: 5, usual: 8, yields: 0, cut: 'end' },
  { title: 'KEY', least: 12, usual: 60, yields: 1, cut: 'end' },
  { title: 'LABEL', least: 8, usual: 32, yields: 2, cut: 'end', room: 1 },
] as const satisfies readonly Column[];

async function count(client: Client, { filter, by }: Asking<'count'>, output: Output): Promise<void> {
  const { latest: _latest, ...query } = filter;
  const { counts, partial } = await client.audit.counts({ ...query, by });
  const cellsOf = ({ key, count: events, label }: AuditCount) => [String(events), key, label ?? ''].map(printable);
  await output.table(COUNT_COLUMNS, counts, cellsOf);
  if (counts.length === 0) output.notice('No events match.');
  if (partial) output.notice('These are the newest events that match, and not all: ask for fewer with --since.');
}

async function runFollow(client: Client, options: Asking<'follow'>, host: Host): Promise<void> {
  const { cursorFile, out, isReplacing, filter, limit } = options;
  const grown = out === null ? null : growingFile(host.pathOf(out), isReplacing);
  const question = { url: client.origin, parameters: filter };
  const place = cursorFile === null ? null : openPlace(host.pathOf(cursorFile), question, grown);
  // Whoever stops a follower ends its wait, and not the page that it is writing.
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => stop.abort());
  const sleep = async (ms: number): Promise<void> =>
    await delay(ms, undefined, { signal: stop.signal }).catch(() => {});
  const write = async (text: string): Promise<void> => await Promise.resolve(grown?.write(text));
  const output = outputTo(grown === null ? STANDARD_OUTPUT : { ...STANDARD_OUTPUT, write, cells: null }, options);
  const following = { limit, place, sleep, signal: stop.signal };
  await follow(client, filter, following, output);
  grown?.close();
}

/** Writes the export to standard output or to a file. */
async function writeExport(client: Client, options: Asking<'export'>, host: Host): Promise<void> {
  const { filter, format, out, isReplacing } = options;
  if (out === null) {
    const shown = process.stdout.isTTY ? printableLines : (text: string) => text;
    await exportAll(client, filter, format, async (text) => await writeOutput(shown(text)));
    return;
  }
  let events = 0;
  await writeOutFile(host.pathOf(out), isReplacing, async (write) => {
    events = await exportAll(client, filter, format, write);
  });
  console.error(`${events} events in ${printable(out)}.`);
}
