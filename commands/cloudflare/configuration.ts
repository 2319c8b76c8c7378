import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { UserError } from '../../local/errors.ts';
import { CHECKOUT } from '../../local/settings.ts';
import { policyAdvice } from '../../src/config/advice.ts';
import { parseEnv, readPolicy } from '../../src/config/env.ts';
import { placeholdersIn } from '../../src/config/placeholders.ts';
import type { Policy } from '../../src/config/policy.ts';
import type { ConfigProblem } from '../../src/config/problems.ts';
import { parseJson } from '../../src/kit/json.ts';
import { neededSecrets, TRAIL_SECRETS } from './needed-secrets.ts';
import type { Section } from './section.ts';

export interface CheckedConfiguration {
  readonly policy: Policy;
  /** What the Worker accepts, and nobody can have meant. */
  readonly advice: readonly ConfigProblem[];
}

/**
 * Checks a section and the policy as the Worker will, all but its secrets.
 *
 * @throws UserError with every problem. With one of them the Worker would answer nothing but a fixed 500.
 */
export async function checkConfiguration(section: Section): Promise<CheckedConfiguration> {
  const policyFile = 'POLICY' in section.vars ? null : await importPolicy();
  const policy = readPolicy(section.vars, policyFile);
  const needed = neededSecrets(policy.ok ? policy.value : { webhooks: [], issuers: [] });
  const secrets = new Set([...needed.map(({ name }) => name), ...TRAIL_SECRETS]);
  const exposed = Object.keys(section.vars).filter((name) => secrets.has(name));
  if (exposed.length > 0) {
    throw new UserError(
      `${exposed.join(', ')} is in [env.${section.name}.vars] of ${section.configPath}, where everybody who reads the file sees it. Take it out, and make a new one.`,
    );
  }
  const config = parseEnv({ ...stubs(section), ...section.vars }, policyFile);
  const problems = config.ok ? [] : config.error.filter(({ key }) => !secrets.has(key));
  if (!policy.ok || problems.length > 0) {
    const list = problems.map(({ key, problem, example }) => `  ${key} ${problem}\n    correct: ${example}`).join('\n');
    throw new UserError(`The Worker would not start with this configuration:\n${list}`);
  }
  const source = policyFile === null ? 'POLICY' : 'policy.ts';
  const { POLICY: binding } = section.vars;
  const written = policyFile ?? (typeof binding === 'string' ? parseJson(binding) : binding);
  return {
    policy: policy.value,
    advice: [...placeholdersIn(written), ...policyAdvice(policy.value)].map((advice) => ({
      ...advice,
      key: `${source}: ${advice.key}`,
    })),
  };
}

/** Bindings that exist, as those of the deployed Worker will. Nothing uses them. */
function stubs({ rateLimits, bucket }: Section): Readonly<Record<string, unknown>> {
  const unused = (): never => {
    throw new Error('A check of the configuration uses no binding.');
  };
  return {
    DB: { prepare: unused, batch: unused },
    ...(bucket !== null && { TRAIL: { put: unused, list: unused } }),
    ...Object.fromEntries(rateLimits.map((name) => [name, { limit: unused }])),
  };
}

async function importPolicy(): Promise<unknown> {
  const module: unknown = await import(pathToFileURL(path.join(CHECKOUT, 'policy.ts')).href);
  return typeof module === 'object' && module !== null && 'default' in module ? module.default : null;
}
