import { readFileSync } from 'node:fs';
import { unstable_getVarsForDev, unstable_readConfig, type Unstable_Config } from 'wrangler';
import { errorCode } from '../../local/errors.ts';
import { TOP_LEVEL } from '../../local/wrangler.ts';
import type { ConfigProblem } from '../../src/config/problems.ts';
import { err, ok, type Result } from '../../src/kit/result.ts';
import { shownPath } from '../module-file.ts';
import { UsageError } from './options.ts';

export type Variables = Readonly<Record<string, string | undefined>>;
export type Environment = Readonly<Record<string, unknown>>;
export type WranglerConfig = Unstable_Config;

/** What the Worker would find around it. */
export interface Surroundings {
  /** The bindings that wrangler.toml declares. They exist, and using one throws. */
  readonly bindings: Environment;
  /** The named settings that are set, secrets among them. */
  readonly settings: (names: readonly string[], secrets: readonly string[]) => Record<string, unknown>;
  /** Where a setting that is set has its value from. */
  readonly sourceOf: (name: string) => string;
}

/** Every section of a configuration, the top level under `TOP_LEVEL`. */
export type Sections = ReadonlyMap<string, WranglerConfig>;

/**
 * Reads a configuration with all of its sections.
 *
 * Errors: it is not there, is no TOML (with line and column), or wrangler refuses it.
 */
export function readSections(configPath: string): Result<Sections, ConfigProblem> {
  try {
    // wrangler says "there is no configuration" in other words, or none.
    readFileSync(configPath);
    const read = (env: string): WranglerConfig =>
      unstable_readConfig({ config: configPath, env }, { hideWarnings: true });
    const top = read(TOP_LEVEL);
    const names = top.definedEnvironments ?? [];
    return ok(new Map([[TOP_LEVEL, top], ...names.map((name): [string, WranglerConfig] => [name, read(name)])]));
  } catch (error) {
    return err({
      key: shownPath(configPath),
      problem: configFault(error),
      example: 'the wrangler.toml that this project comes with',
    });
  }
}

/**
 * The section that the user named, or the top level for null.
 *
 * @throws UsageError if there is no such section. wrangler would go on with the top level where there is none at all.
 */
export function sectionOf(sections: Sections, name: string | null): WranglerConfig {
  const section = sections.get(name ?? TOP_LEVEL);
  if (section !== undefined) return section;
  const known = [...sections.keys()].filter((key) => key !== TOP_LEVEL);
  const there = known.length === 0 ? 'it has none' : `it has: ${known.join(', ')}`;
  throw new UsageError(`--env ${name}: the configuration has no section [env.${name}]; ${there}.`);
}

function configFault(error: unknown): string {
  if (errorCode(error) === 'ENOENT') return 'is not there';
  if (!(error instanceof Error)) return `cannot be read: ${String(error)}`;
  const lines = error.message.split('\n').map((line) => line.trim());
  // wrangler's first line names the file, which the problem does already.
  const message = lines.filter((line, index) => line !== '' && (index > 0 || lines.length === 1)).join(' ');
  const place = 'location' in error ? placeOf(error.location) : null;
  return place === null
    ? `is refused by wrangler: ${message}`
    : `is no TOML: ${message.replace('Invalid TOML document: ', '')} at ${place}`;
}

/** Where a TOML is at fault. wrangler counts lines from 1 and columns from 0. */
function placeOf(location: unknown): string | null {
  if (typeof location !== 'object' || location === null || !('line' in location) || !('column' in location))
    return null;
  return `line ${String(location.line)}, column ${Number(location.column) + 1}`;
}

/** What is around the Worker on this machine: the environment overrides `.dev.vars`, which overrides wrangler.toml. */
export function localSurroundings(configPath: string, config: WranglerConfig, variables: Variables): Surroundings {
  const vars = unstable_getVarsForDev(configPath, undefined, config.vars, undefined, true);
  return {
    bindings: bindingsOf(config),
    settings: (names) => present(names, (name) => variables[name] || vars[name]?.value),
    sourceOf: (name) => {
      if (variables[name]) return 'the environment';
      return vars[name]?.value === config.vars[name] ? 'wrangler.toml' : '.dev.vars';
    },
  };
}

/**
 * What is around the Worker where a section is deployed: the variables of the section. A secret is known only if the environment holds
 * it, as it does where somebody checks it before it is sent.
 */
export function deployedSurroundings(config: WranglerConfig, variables: Variables): Surroundings {
  return {
    bindings: bindingsOf(config),
    settings: (names, secrets) =>
      present(names, (name) => (secrets.includes(name) && variables[name]) || config.vars[name]),
    sourceOf: () => 'wrangler.toml',
  };
}

function present(names: readonly string[], valueOf: (name: string) => unknown): Record<string, unknown> {
  const values = names.map((name): [string, unknown] => [name, valueOf(name)]);
  return Object.fromEntries(values.filter(([, value]) => value !== undefined));
}

function bindingsOf(config: WranglerConfig): Environment {
  const bindings: Record<string, unknown> = {};
  if (config.d1_databases.some(({ binding }) => binding === 'DB')) {
    bindings['DB'] = { prepare: notHere, batch: notHere };
  }
  for (const { name } of config.ratelimits) bindings[name] = { limit: notHere };
  return bindings;
}

function notHere(): never {
  throw new Error('The doctor reads the configuration; it has no database.');
}
