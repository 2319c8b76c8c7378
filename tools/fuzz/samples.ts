import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { environmentOf, pipeline, run, SAMPLES } from '../../test/e2e/samples.ts';
import type { Service } from '../../test/e2e/service.ts';
import type { Found } from './python.ts';

/** A first build, on a busy machine. What takes longer is taken for a module proxy that does not answer. */
const BUILD_PATIENCE_MS = 180_000;

/**
 * Runs the samples that need Python and Go, where these are present.
 *
 * @throws if a sample fails, or leaves a token alive.
 */
export async function runSamples(
  service: Service,
  { go, python }: Readonly<{ go: Found; python: Found }>,
  workspaceUuid: string,
): Promise<void> {
  const env = { ...environmentOf(pipeline(service)), WORKSPACE: workspaceUuid };
  if ('missing' in python) skip('samples/python', python.missing);
  else say('samples/python', await run([python.program, path.join('python', 'mint.py')], { env }));

  if ('missing' in go) skip('samples/go', go.missing);
  else for (const name of ['go', 'go-sdk']) await runGo(go.program, name, env);

  const alive = (await service.control.tokens()).filter((token) => !token.is_revoked);
  if (alive.length > 0) throw new Error(`the samples left ${alive.length} tokens alive`);
}

/** Builds and runs a module of Go. PipeOps' SDK may be out of reach; whatever else fails is a fault of ours. */
async function runGo(program: string, name: string, env: Readonly<Record<string, string>>): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'countersign-go-'));
  try {
    // A copy: Go writes the sums of the modules beside the source.
    cpSync(path.join(SAMPLES, name), folder, { recursive: true });
    const modules = spawnSync(program, ['mod', 'tidy'], { cwd: folder, encoding: 'utf8', timeout: BUILD_PATIENCE_MS });
    if (modules.status !== 0) {
      skip(
        `samples/${name}`,
        modules.error?.message ?? modules.stderr.trim().split('\n').at(-1) ?? 'no reason was given',
      );
      return;
    }
    say(`samples/${name}`, await run([program, 'run', '.'], { cwd: folder, env }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const skip = (name: string, reason: string): void => console.log(`fuzz: skips ${name}, since ${reason}`);
const say = (name: string, printed: string): void =>
  console.log(`fuzz: ${name}: ${printed.trim().replaceAll('\n', '; ')}`);
