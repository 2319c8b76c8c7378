import { UserError } from '../../local/errors.ts';
import { createSigner, parsePrivateKey, privateKeyText, verifierText } from '../../src/tlog/note.ts';
import { connect, isOnThisMachine, problemOf } from '../countersign/connection.ts';
import type { Host } from '../countersign/host.ts';
import { print, watchOutput } from '../output.ts';
import { printableJson } from '../terminal-text.ts';
import { UsageError } from '../usage.ts';
import { deploymentSource } from './deployment.ts';
import { exitCodeOf } from './judge/findings.ts';
import { judge } from './judge/judge.ts';
import { offlineSource } from './offline.ts';
import { readOptions, usageOf, type VerifyOptions } from './options.ts';
import { progressBar } from './progress.ts';
import { reportJson, reportLines } from './report.ts';
import type { Source } from './source.ts';
import { readKnown, remember } from './state.ts';
import { keepingTiles } from './tile-tree.ts';

const CANNOT_TELL = 2;
const NOT_A_COMMAND = 3;

type Verifying = Extract<VerifyOptions, { mode: 'verify' }>;

/** Verifies a trail against its transparency log. It ends with an exit code of its own: 1 says that something is wrong, and nothing else. */
export async function runVerify(args: readonly string[], host: Host): Promise<void> {
  watchOutput(1);
  try {
    const options = readOptions(
      args,
      (named) => host.pathOf(named),
      host.call('verify'),
      (connection) => (isOnThisMachine(host, connection) ? host.localVerifierFile() : null),
    );
    if (options.mode === 'help') print(usageOf(host.call('verify')));
    else if (options.mode === 'new-key') await printNewKey(options.name);
    else process.exitCode = await verify(options, host);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    console.error(error.message);
    process.exitCode = error instanceof UsageError ? NOT_A_COMMAND : CANNOT_TELL;
  }
}

async function verify(options: Verifying, host: Host): Promise<number> {
  const { state, against, offline, pins, witnesses, quorum, json } = options;
  const kept = state === null ? [] : readKnown(state, '--state');
  const known = [...kept, ...against.flatMap((file) => readKnown(file, '--against'))];
  const bar = progressBar(process.stderr, () => Date.now());
  const nowMs = Date.now();
  const judged = await readSource(options, host, async (source) => {
    const audit = { pins, known, witnesses, quorum, nowMs, isLatest: offline === null, isLive: offline === null };
    return await judge(source, { ...audit, progress: (what, done, of) => bar.show(what, done, of) });
  }).finally(() => bar.end());
  const exitCode = exitCodeOf(judged.verdicts);
  if (json) print(printableJson(reportJson(judged, exitCode)));
  else for (const line of reportLines(judged)) print(line);
  const { integrity, completeness } = judged.verdicts;
  if (state !== null && integrity?.judgement === 'good' && completeness?.judgement === 'good') {
    remember(state, judged.logs, kept, new Date(nowMs).toISOString());
  }
  return exitCode;
}

/** Gives the source that the options name to what reads it, and says what to do about a service that fails. */
async function readSource<T>(options: Verifying, host: Host, read: (source: Source) => Promise<T>): Promise<T> {
  const { offline, connection, exportTo } = options;
  if (offline !== null) return await read(offlineSource(offline.folder, offline.exportFile));
  const client = connect(host, connection, { role: 'auditor', notice: (line) => console.error(line) });
  const source = deploymentSource(client);
  try {
    return await read(exportTo === null ? source : keepingTiles(source, exportTo));
  } catch (error) {
    throw problemOf(error, { host, origin: client.origin, permission: 'audit:read' });
  }
}

const SEED_BYTES = 32;

/** Only the private key goes to standard output, so that it can be piped into what keeps it. */
async function printNewKey(name: string): Promise<void> {
  const text = await privateKeyText('log', name, crypto.getRandomValues(new Uint8Array(SEED_BYTES)));
  const key = parsePrivateKey(text);
  if (key === null) throw new TypeError('The new key is none.');
  const { verifier } = await createSigner(key);
  console.error(`Verifier key, for auditors: ${verifierText(verifier)}`);
  console.error('The line on standard output is the private key. Put it into the secret TRAIL_KEY, and into no file.');
  print(text);
}
