import { policyAdvice, workspaceProblem } from '../../src/config/advice.ts';
import { type ConfigProblem, parseEnv, readPolicy, SETTING_NAMES } from '../../src/config/env.ts';
import { isMadeUpSecret, placeholderFinding, placeholderIn, placeholdersIn } from '../../src/config/placeholders.ts';
import type { Policy } from '../../src/config/policy.ts';
import type { Finding } from '../../src/config/problems.ts';
import { renewalAdvice } from '../../src/config/renewal.ts';
import { credentialExpiryMs, expiryProblem } from '../../src/config/secrets.ts';
import { parseJson } from '../../src/kit/json.ts';
import { err, type Result } from '../../src/kit/result.ts';
import { neededSecrets, OPTIONAL_SECRETS } from '../cloudflare/needed-secrets.ts';
import { readModuleFile, shownPath } from '../module-file.ts';
import type { Database } from './database.ts';
import { deployedSections, sectionFindings } from './deployment.ts';
import {
  deployedSurroundings,
  type Environment,
  localSurroundings,
  readSections,
  sectionOf,
  type Sections,
  type Variables,
} from './environment.ts';
import { describeKeys, fingerprintKeysInUse, keyIdsOf, missingKeys } from './fingerprint-keys.ts';
import type { Options } from './options.ts';
import { examineDeployment } from './remote.ts';
import { hasTrailBucket, sealingNotes } from './trail.ts';

/** What was looked at, and what was found. Nothing in it holds the value of a secret. */
export interface Examination {
  /** What is fine, with a remark where there is one. */
  readonly fine: readonly string[];
  readonly findings: readonly Finding[];
  /** What was not looked at, and how it can be. */
  readonly notes: readonly string[];
}

const CREDENTIALS: readonly string[] = ['PIPEOPS_ADMIN_TOKEN', 'PIPEOPS_ADMIN_TOKEN_NEXT'];

/**
 * Reads the configuration as the Worker would.
 *
 * @param variables the environment variables, which may stand in for settings.
 * @throws UsageError if the options name a section that the configuration does not have.
 */
export async function examine(options: Options, variables: Variables, nowMs: number): Promise<Examination> {
  const sections = readSections(options.configPath);
  if (!sections.ok) {
    // The policy stands in a file of its own, and its author wants to know of it all the same.
    const policy = await examinePolicy(options, {}, '');
    return { fine: [], findings: [asProblem(sections.error), ...policy.findings], notes: [] };
  }
  const config = sectionOf(sections.value, options.section);
  const { bindings, settings, sourceOf } =
    options.section === null
      ? localSurroundings(options.configPath, config, variables)
      : deployedSurroundings(config, variables);

  const policy = await examinePolicy(options, settings(['POLICY'], []), sourceOf('POLICY'));
  const needed = neededSecrets(policy.policy ?? { webhooks: [], issuers: [] }).map(({ name }) => name);
  const secretNames = [...needed, ...OPTIONAL_SECRETS];
  const names = [...new Set([...SETTING_NAMES, ...secretNames])];
  const env = { ...bindings, ...settings(names, secretNames), ...policy.binding };

  const checked = parseEnv(env, policy.file);
  const problems = (checked.ok ? [] : checked.error).filter(({ key }) => !isOfPolicy(key));
  const isUnknown = ({ key }: ConfigProblem): boolean =>
    options.section !== null && secretNames.includes(key) && !(key in env);
  const unknownSecrets = problems.filter(isUnknown).map(({ key }) => key);
  const deployed =
    options.remote === null || options.section === null
      ? { fine: [], findings: [] }
      : await examineDeployment(
          {
            configPath: options.configPath,
            section: options.section,
            config,
            secrets: policy.policy === null ? null : { needed, optional: OPTIONAL_SECRETS },
            url: options.remote.url,
          },
          variables,
        );
  const findings = [
    ...problems.filter((problem) => !isUnknown(problem)).map(asProblem),
    ...policy.findings,
    ...settingFindings(env, secretNames, problems, nowMs),
    ...renewalAdvice(env).map(asProblem),
    ...sectionsToLookAt(sections.value, options).flatMap((name) => sectionFindings(sections.value, name, secretNames)),
    ...(options.database === null ? [] : await keyFindings(options.database, env, nowMs)),
    ...deployed.findings,
  ];
  const looked = new Set(['DB', ...names, policy.source]);
  const isFine = (key: string): boolean =>
    (key === policy.source ? policy.policy !== null : key in env) &&
    !findings.some((finding) => finding.key.split(': ')[0] === key);
  return {
    fine: [...[...looked].filter(isFine).map((key) => `${key}${remarkOn(key, env[key])}`), ...deployed.fine],
    findings,
    notes: [
      ...(unknownSecrets.length === 0 || options.remote !== null
        ? []
        : [
            `${unknownSecrets.join(', ')}: not known on this machine. \`npm run doctor -- --env ${options.section} --remote\` compares their names with those that are deployed.`,
          ]),
      // With --remote they are findings, which know of secrets too.
      ...(options.section === null || options.remote !== null
        ? []
        : sealingNotes({ vars: Object.keys(config.vars), hasBucket: hasTrailBucket(config) })),
    ],
  };
}

const asProblem = (problem: ConfigProblem): Finding => ({ severity: 'problem', ...problem });

/** One section if the user named it, and else all that are deployed. */
const sectionsToLookAt = (sections: Sections, { section }: Options): readonly string[] =>
  section === null ? deployedSections(sections) : [section];

// ── The policy ──────────────────────────────────────────────────────────────────────────────────────────────────────

interface ExaminedPolicy {
  readonly source: 'POLICY' | 'policy.ts';
  /** Null if it is not valid. */
  readonly policy: Policy | null;
  readonly findings: readonly Finding[];
  /** The setting `POLICY`, if the policy is in it. */
  readonly binding: Environment;
  /** What the file exports, if it is in a file. */
  readonly file: unknown;
}

const POLICY_EXAMPLE =
  "import { definePolicy } from './src/config/define-policy.ts'; export default definePolicy({ … })";

async function examinePolicy(options: Options, setting: Environment, from: string): Promise<ExaminedPolicy> {
  // A user who names a policy file wants that file checked, even where the binding would replace it.
  if (options.isPolicyNamed || !('POLICY' in setting)) {
    const file = await readModuleFile(options.policyPath);
    const source = 'policy.ts';
    if (!file.ok) {
      const problem = { key: shownPath(options.policyPath), problem: file.error, example: POLICY_EXAMPLE };
      return { source, policy: null, findings: [asProblem(problem)], binding: {}, file: null };
    }
    return { source, ...judged(source, file.value, readPolicy({}, file.value)), binding: {}, file: file.value };
  }
  const source = 'POLICY';
  const { POLICY: text } = setting;
  const input = typeof text === 'string' ? parseJson(text) : undefined;
  const parsed = readPolicy(setting, null);
  const located: typeof parsed = parsed.ok
    ? parsed
    : err(
        parsed.error.map((fault) =>
          fault.key === source ? { ...fault, problem: `(in ${from}) ${fault.problem}` } : fault,
        ),
      );
  return { source, ...judged(source, input, located), binding: { POLICY: text }, file: null };
}

/** What is wrong with a policy, and what nobody can have meant. */
function judged(source: string, input: unknown, parsed: Result<Policy, readonly ConfigProblem[]>) {
  const found = [...placeholdersIn(input), ...(parsed.ok ? policyAdvice(parsed.value) : [])];
  const findings = [
    ...(parsed.ok ? [] : parsed.error.map(asProblem)),
    ...found.map((finding) => ({ ...finding, key: `${source}: ${finding.key}` })),
  ];
  return { policy: parsed.ok ? parsed.value : null, findings };
}

/** Whether a problem is one of the policy, which is judged by itself. */
const isOfPolicy = (key: string): boolean => ['policy.ts', 'POLICY'].includes(key.split(': ', 1)[0] ?? '');

// ── Settings ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** What is wrong with the values of settings that the Worker accepts. One that is a problem already is left out. */
function settingFindings(
  env: Environment,
  secretNames: readonly string[],
  problems: readonly ConfigProblem[],
  nowMs: number,
): readonly Finding[] {
  return Object.entries(env).flatMap(([key, value]): readonly Finding[] => {
    if (typeof value !== 'string' || key === 'POLICY' || problems.some((problem) => problem.key === key)) return [];
    if (secretNames.includes(key)) {
      if (isMadeUpSecret(value))
        return [
          {
            key,
            ...placeholderFinding('nobodys'),
            example: `a real one: \`npx wrangler secret put ${key} --config wrangler.toml --env production\``,
          },
        ];
      const expiry = CREDENTIALS.includes(key) ? expiryProblem(key, value, nowMs) : null;
      return expiry === null ? [] : [asProblem(expiry)];
    }
    const placeholder = placeholderIn(value);
    if (placeholder !== null) return [{ key, ...placeholderFinding(placeholder), example: 'a value of your own' }];
    const problem = key === 'PIPEOPS_WORKSPACE_UUID' ? workspaceProblem(value) : null;
    if (problem === null) return [];
    return [{ severity: 'problem', key, problem, example: "the UUID of the workspace, as PipeOps' console shows it" }];
  });
}

/** Fingerprint keys that live tokens need. If the setting cannot be read, that is reported as a problem of its own. */
async function keyFindings(database: Database, env: Environment, nowMs: number): Promise<readonly Finding[]> {
  const ids = keyIdsOf(env['FINGERPRINT_KEYS']);
  if (ids === null) return 'FINGERPRINT_KEYS' in env || database.section === null ? [] : [NOTHING_TO_COMPARE];
  const inUse = await fingerprintKeysInUse(database, nowMs);
  return (inUse.ok ? missingKeys(ids, inUse.value) : [inUse.error]).map(asProblem);
}

const NOTHING_TO_COMPARE: Finding = {
  severity: 'problem',
  key: 'FINGERPRINT_KEYS',
  problem: 'is not known on this machine, so that --d1 has nothing to compare',
  example:
    'the variable FINGERPRINT_KEYS as it is in your vault; or --remote, where /readyz says whether a key is missing',
};

/** A remark about a setting that is fine. It never shows the value. */
function remarkOn(key: string, value: unknown): string {
  if (key === 'FINGERPRINT_KEYS') return ` ${describeKeys(keyIdsOf(value) ?? [])}`;
  if (!CREDENTIALS.includes(key) || typeof value !== 'string') return '';
  const expiresAtMs = credentialExpiryMs(value);
  return expiresAtMs === null ? ' does not say when it expires' : ` expires at ${new Date(expiresAtMs).toISOString()}`;
}
