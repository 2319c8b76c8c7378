import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { CHECKOUT } from '../../local/settings.ts';
import type { Service } from './service.ts';

// Runs the samples as their readers do.

export const SAMPLES = path.join(CHECKOUT, 'samples');

/** Whom a sample plays. */
export interface Player {
  readonly url: string;
  readonly jwt: string;
}

/** What a program printed. @throws if it fails, with all that it said. */
export async function run(
  [program, ...args]: readonly [string, ...string[]],
  options: { readonly cwd?: string; readonly env: Readonly<Record<string, string>> },
): Promise<string> {
  const { stdout } = await promisify(execFile)(program, args, {
    cwd: options.cwd ?? SAMPLES,
    env: { ...process.env, ...options.env },
  });
  return stdout;
}

/** The environment that every sample of a program reads. */
export const environmentOf = ({ url, jwt }: Player) => ({ URL: url, JWT: jwt });

/** A step of a job of GitHub Actions that runs commands. */
export interface Step {
  readonly name: string;
  readonly commands: string;
  /** The variables of its `env` that hold outputs of another step: the output's name, by the variable's. */
  readonly outputs: ReadonlyMap<string, string>;
}

/** The steps of a workflow that run commands, as far as the workflows in `samples/` use YAML. */
export function stepsOf(workflow: string): readonly Step[] {
  return workflow
    .split(/^ {6}- /m)
    .slice(1)
    .flatMap((step) => {
      const line = /^ *run: (?!\|)(.*?)(?: #.*)?$/m.exec(step)?.[1];
      const block = /^ *run: \|\n((?: {10}.*\n|\n)*)/m.exec(step)?.[1]?.replaceAll(/^ {10}/gm, '');
      const commands = line ?? block;
      if (commands === undefined) return [];
      const outputs = [...step.matchAll(/^ *(\w+): \$\{\{ steps\.\w+\.outputs\.(\w+) \}\}$/gm)];
      return [
        {
          name: /^ *name: (.*)$/m.exec(`  ${step}`)?.[1] ?? '',
          commands,
          outputs: new Map(outputs.map(([, variable = '', output = '']) => [variable, output])),
        },
      ];
    });
}

/** `NAME=value` lines, as a step writes them for the steps after it. */
const linesIn = (file: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line.includes('='))
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );

/** GitHub's end of a job: it tells a job that shows its request token who the job is. */
async function startGitHub(jwt: string) {
  const server = createServer((request, response) => {
    const { searchParams } = new URL(request.url ?? '', 'http://127.0.0.1');
    const isJob =
      request.headers.authorization === 'Bearer request-token' && searchParams.get('audience') === 'countersign';
    response.writeHead(isJob ? 200 : 403).end(JSON.stringify(isJob ? { value: jwt } : {}));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return { url: `http://127.0.0.1:${port}/token?api-version=2.0`, close: () => server.close() };
}

/** A run of a workflow. */
export interface WorkflowRun {
  /** The file in `samples/`. */
  readonly workflow: string;
  /** The reader's own script, by its name, and its commands. */
  readonly script: readonly [name: string, commands: string];
  /** GitHub's id of the run: a second attempt has the same. */
  readonly id: string;
}

/**
 * Runs the steps of a workflow one after another, as a runner does.
 *
 * @returns what each step printed.
 * @throws if a step fails.
 */
export async function runWorkflow(
  { url, jwt }: Player,
  { workflow, script: [scriptName, commands], id }: WorkflowRun,
): Promise<readonly string[]> {
  const source = readFileSync(path.join(SAMPLES, workflow), 'utf8');
  const steps = stepsOf(source);
  const variables = [...source.matchAll(/^ {2}([A-Z_]+): (.+)$/gm)].map(([, variable = '', value = '']) => [
    variable,
    value,
  ]);
  const folder = mkdtempSync(path.join(tmpdir(), 'countersign-workflow-'));
  const github = await startGitHub(jwt);
  const fileIn = (name: string, text = ''): string => {
    const file = path.join(folder, name);
    writeFileSync(file, text);
    return file;
  };
  chmodSync(fileIn(scriptName, `#!/bin/sh\nset -eu\n${commands}\n`), 0o755);
  const forLater = fileIn('env');
  const outputs = fileIn('output');
  const printed: string[] = [];
  try {
    for (const step of steps) {
      const given = linesIn(outputs);
      const own = [...step.outputs].map(([variable, output]) => [variable, given[output] ?? '']);
      const stdout = await run(['bash', '--noprofile', '--norc', '-eo', 'pipefail', fileIn('step', step.commands)], {
        cwd: folder,
        env: {
          ...Object.fromEntries(variables),
          COUNTERSIGN_URL: url,
          ACTIONS_ID_TOKEN_REQUEST_URL: github.url,
          ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'request-token',
          GITHUB_RUN_ID: id,
          GITHUB_ENV: forLater,
          GITHUB_OUTPUT: outputs,
          ...linesIn(forLater),
          ...Object.fromEntries(own),
        },
      });
      printed.push(stdout);
    }
  } finally {
    github.close();
    rmSync(folder, { recursive: true, force: true });
  }
  return printed;
}

/** The caller of a sample that needs no more than a pipeline's role. */
export const pipeline = ({ url, ciJwt }: Pick<Service, 'url' | 'ciJwt'>): Player => ({ url, jwt: ciJwt });
