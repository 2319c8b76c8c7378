import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as z from 'zod';
import { CHECKOUT } from '../../local/settings.ts';
import { writeLog } from '../../test/interop/write.ts';
import type { Found } from './python.ts';

/** A first download and build, on a busy machine. What takes longer is taken for a module proxy that does not answer. */
const PATIENCE_MS = 180_000;
const SOURCE = path.join(CHECKOUT, 'test', 'interop');
const Key = z.object({ private: z.string(), verifier: z.string() });

/** Go, on PATH or where its installer puts it. */
export function findGo(): Found {
  for (const program of ['go', '/usr/local/go/bin/go'])
    if (spawnSync(program, ['version']).status === 0) return { program };
  return { missing: 'there is no Go' };
}

/**
 * Lets the libraries of the Go project check a log that this code has written, and tamper with it, where Go and its modules are in reach.
 *
 * @throws if they refuse what is right, or accept what is wrong.
 */
export async function runInterop(go: Found): Promise<void> {
  if ('missing' in go) {
    console.log(`fuzz: skips test/interop, since ${go.missing}`);
    return;
  }
  const inSource = { cwd: SOURCE, encoding: 'utf8', timeout: PATIENCE_MS } as const;
  const modules = spawnSync(go.program, ['mod', 'download'], inSource);
  if (modules.status !== 0) {
    console.log(`fuzz: skips test/interop, since its modules are not here: ${reasonOf(modules)}`);
    return;
  }
  const folder = mkdtempSync(path.join(tmpdir(), 'countersign-interop-'));
  try {
    const program = path.join(folder, 'interop');
    const play = (command: string, args: readonly string[]): string => {
      const played = spawnSync(command, args, inSource);
      if (played.status !== 0) throw new Error(`test/interop: ${reasonOf(played)}`);
      return played.stdout;
    };
    play(go.program, ['build', '-o', program, '.']);
    const log = path.join(folder, 'log');
    mkdirSync(log);
    await writeLog(log, Key.parse(JSON.parse(play(program, ['key', 'countersign.example.com/trail']))));
    for (const line of play(program, ['check', log]).trim().split('\n')) console.log(`fuzz: test/interop: ${line}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const reasonOf = ({ error, stderr }: Readonly<{ error?: Error; stderr: string }>): string =>
  error?.message ?? stderr.trim().split('\n').at(-1) ?? 'no reason was given';
