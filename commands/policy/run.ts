import path from 'node:path';
import { UserError } from '../../local/errors.ts';
import { CHECKOUT } from '../../local/settings.ts';
import { printableJson } from '../terminal-text.ts';
import { askerOf, readKeysOverNetwork } from './caller.ts';
import { type CaseResult, readCases, runCases, untestedBy } from './cases.ts';
import { denialOf, explain } from './explain.ts';
import { asUserStands } from '../user-path.ts';
import { type NamedPolicy, readExport, readLocalPolicy, readPolicyFile, readPresented } from './files.ts';
import { explanationJson, whoJson } from './json.ts';
import { type PolicyOptions, readOptions, USAGE } from './options.ts';
import { explanationLines, policyLine, testLines, whoLines } from './report.ts';
import { isAnybodyAble, who } from './who.ts';

/** What surrounds the command. */
export interface Surroundings {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly standardInput: () => Promise<string>;
  /** Prints a line of the answer. */
  readonly say: (line: string) => void;
  /** Prints why there is none. */
  readonly complain: (text: string) => void;
}

/** How the command ends: 0 says yes, 1 says no, and 2 that the policy could not be asked. */
export type ExitCode = 0 | 1 | 2;

/**
 * Asks the policy: why it decides as it does, who may do something, whether its cases hold, and which version it is.
 *
 * @throws only what is a fault of the command itself.
 */
export async function run(args: readonly string[], surroundings: Surroundings): Promise<ExitCode> {
  try {
    const { lines, isYes } = await answer(args, surroundings);
    lines.forEach(surroundings.say);
    return isYes ? 0 : 1;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    surroundings.complain(error.message);
    return 2;
  }
}

interface Answer {
  readonly lines: readonly string[];
  readonly isYes: boolean;
}

async function answer(args: readonly string[], surroundings: Surroundings): Promise<Answer> {
  const { environment } = surroundings;
  const options = readOptions(args, environment['PIPEOPS_WORKSPACE_UUID']);
  if (options.mode === 'help') return { lines: [USAGE], isYes: true };
  const { source } = options;
  const named =
    source.kind === 'local' ? await readLocalPolicy(environment) : await readPolicyFile(source.file, environment);
  const nowMs = Date.now();
  switch (options.mode) {
    case 'version':
      return { lines: [named.version], isYes: true };
    case 'explain':
      return await explained(named, options, surroundings, nowMs);
    case 'who': {
      const found = who(named.policy, options.question, nowMs);
      const lines = options.json
        ? [printableJson(whoJson(found, named))]
        : [policyLine(named), ...whoLines(found, options.question, named.policy)];
      return { lines, isYes: isAnybodyAble(found) };
    }
    case 'test': {
      const results = await tested(named, options.cases, environment, nowMs);
      const lines = [policyLine(named), ...testLines(results, untestedBy(results, named.policy), named.policy, nowMs)];
      return { lines, isYes: results.every(({ holds }) => holds) };
    }
  }
}

async function explained(
  named: NamedPolicy,
  { presented, header, verify, asked, json }: Extract<PolicyOptions, { mode: 'explain' }>,
  { environment, standardInput }: Surroundings,
  nowMs: number,
): Promise<Answer> {
  const { policy } = named;
  const shown = await readPresented(presented, environment, standardInput);
  const asker = await askerOf(policy.issuers, shown, header, verify ? readKeysOverNetwork : null, nowMs);
  const explanation = explain(policy, asker, asked, nowMs);
  const lines = json
    ? [printableJson(explanationJson(explanation, named))]
    : [policyLine(named), ...explanationLines(explanation, policy, nowMs)];
  return { lines, isYes: denialOf(explanation) === null };
}

async function tested(
  { policy }: NamedPolicy,
  file: string | null,
  environment: Surroundings['environment'],
  nowMs: number,
): Promise<readonly CaseResult[]> {
  const from = file === null ? path.join(CHECKOUT, 'policy.cases.ts') : asUserStands(file, environment);
  const cases = readCases(await readExport(from, '--cases'), policy, file ?? 'policy.cases.ts');
  return await runCases(policy, cases, nowMs);
}
