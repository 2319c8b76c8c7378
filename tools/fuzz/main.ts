import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { UserError } from '../../local/errors.ts';
import { keepLoopbackDirect } from '../../local/loopback.ts';
import { CHECKOUT } from '../../local/settings.ts';
import { freePorts, startService, webhooksOf, type Service } from '../../test/e2e/service.ts';
import { bugsAmong, errorsIn } from '../../test/e2e/worker-log.ts';
import { findGo, runInterop } from './interop.ts';
import { findPython, findSchemathesis } from './python.ts';
import { runSamples } from './samples.ts';

// `npm run fuzz`: a log of the trail is checked by libraries of the Go project. Then the samples in Python and Go, and schemathesis, run
// against a service that it starts. schemathesis keeps to the pace that a
// caller is granted, and looks for a 5xx, for a status, a header or a body off openapi.json, for a valid request that is refused and for an
// invalid one that is not. What is missing on this machine is skipped, with the reason.

const USAGE = `usage: npm run fuzz
  FUZZ_SECONDS   for how long requests are made up (240)
  FUZZ_SEED      the seed that an earlier run printed, to repeat it`;

/** The workspace that the simulator stands in for. */
const WORKSPACE_UUID = '5877a4ae-0000-4000-8000-000000000001';

/** Whether schemathesis found nothing. */
async function findNothing(service: Service, stateDir: string, program: string): Promise<boolean> {
  const { FUZZ_SECONDS: seconds = '240', FUZZ_SEED: seed } = process.env;
  const config = path.join(import.meta.dirname, 'schemathesis.toml');
  const budget = ['--max-time', seconds, ...(seed === undefined ? [] : ['--seed', seed])];
  const child = spawn(program, ['--config-file', config, 'run', path.join(CHECKOUT, 'openapi.json'), ...budget], {
    stdio: ['ignore', 'inherit', 'inherit'],
    // It leaves files where it runs.
    cwd: stateDir,
    env: {
      ...process.env,
      ...webhooksOf(stateDir).secrets,
      COUNTERSIGN_URL: service.url,
      COUNTERSIGN_JWT: service.adminJwt,
      COUNTERSIGN_HOOKS: path.join(import.meta.dirname, 'hooks.py'),
      COUNTERSIGN_SUBJECT: 'local-admin',
      COUNTERSIGN_WORKSPACE: WORKSPACE_UUID,
    },
  });
  const [code] = await once(child, 'exit');
  return code === 0;
}

/** @returns whether all that could be done went well. */
async function main(): Promise<boolean> {
  if (process.argv.length > 2) throw new UserError(USAGE);
  keepLoopbackDirect();
  const [go, python] = [findGo(), findPython()];
  await runInterop(go);
  const schemathesis = 'program' in python ? findSchemathesis(python.program) : python;
  const stateDir = mkdtempSync(path.join(tmpdir(), 'countersign-fuzz-'));
  const service = await startService(stateDir, await freePorts());
  try {
    // The samples go first: afterwards PipeOps' calls of the minute are used up.
    await runSamples(service, { go, python }, WORKSPACE_UUID);
    if ('missing' in schemathesis) {
      console.log(`fuzz: skips schemathesis, since ${schemathesis.missing}`);
      return true;
    }
    const isClean = await findNothing(service, stateDir, schemathesis.program);
    const bugs = bugsAmong(await errorsIn(stateDir));
    for (const bug of bugs) console.error(`fuzz: ${bug}`);
    return isClean && bugs.length === 0;
  } finally {
    await service.stop();
    rmSync(stateDir, { recursive: true, force: true });
  }
}

try {
  process.exitCode = (await main()) ? 0 : 1;
} catch (error) {
  console.error(error instanceof UserError ? error.message : error);
  process.exitCode = 1;
}
