import path from 'node:path';
import { parseArgs, type ParseArgsOptionsConfig } from 'node:util';
import { UserError } from '../../local/errors.ts';
import { WRANGLER_TOML } from '../../local/wrangler.ts';
import { trustedBaseUrl } from '../../src/config/fields.ts';
import { sectionsOf } from './section.ts';

/** A minute is enough for a new address as a rule, and nobody should be told too early that a deployment failed. */
const PATIENCE_DEFAULT_SECONDS = 180;

/** What `npm run setup` and `npm run deploy` are both told. */
export interface DeploymentOptions {
  readonly section: string;
  readonly configPath: string;
  /** Where `/readyz` is asked, without a trailing slash; null for the address that wrangler names. */
  readonly url: string | null;
  readonly patienceMs: number;
}

const text = { type: 'string' } as const;
const COMMON = { env: text, config: text, url: text, wait: text, help: { type: 'boolean', short: 'h' } } as const;

export const COMMON_USAGE = `  --env NAME       the section [env.NAME] of wrangler.toml: staging or production
  --url URL        where /readyz is asked, if not at the address that wrangler names
  --wait SECONDS   how long to wait for the service to be ready; ${PATIENCE_DEFAULT_SECONDS}
  --config FILE    another wrangler.toml`;

/**
 * Reads the arguments of a command that deploys.
 *
 * @param more the command's own options. Each takes a text.
 * @returns null if help is asked for.
 * @throws UserError that says what to write.
 */
export function readOptions<Name extends string>(
  command: 'setup' | 'deploy',
  args: readonly string[],
  more: readonly Name[],
): (DeploymentOptions & { readonly more: Readonly<Partial<Record<Name, string>>> }) | null {
  const options: ParseArgsOptionsConfig = { ...COMMON, ...Object.fromEntries(more.map((name) => [name, text])) };
  const { values, positionals } = parse(args, options);
  if (values['help'] === true) return null;
  const texts = new Map(
    Object.entries(values).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
  const configPath = path.resolve(texts.get('config') ?? WRANGLER_TOML);
  const section = texts.get('env');
  if (section === undefined || section === '') {
    const [name = sectionsOf(configPath)[0] ?? 'staging'] = positionals;
    const swallowed =
      positionals.length > 0
        ? 'npm took --env for itself: the two dashes before it are missing'
        : 'Name the environment';
    throw new UserError(`${swallowed}. Write: npm run ${command} -- --env ${name}`);
  }
  if (positionals.length > 0) throw new UserError(`${command} does not know what ${positionals.join(' ')} is for.`);
  return {
    section,
    configPath,
    url: texts.has('url') ? readUrl(texts.get('url') ?? '') : null,
    patienceMs: readSeconds(texts.get('wait') ?? String(PATIENCE_DEFAULT_SECONDS)) * 1000,
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- parseArgs is strict: it refuses every other name
    more: Object.fromEntries([...texts].filter(([name]) => more.some((known) => known === name))) as Partial<
      Record<Name, string>
    >,
  };
}

function parse(args: readonly string[], options: ParseArgsOptionsConfig) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    throw new UserError(error instanceof Error ? error.message : String(error));
  }
}

function readUrl(url: string): string {
  const problem = trustedBaseUrl.safeParse(url).error?.issues[0]?.message;
  if (problem !== undefined) throw new UserError(`--url ${JSON.stringify(url)} ${problem}.`);
  return url.replace(/\/+$/, '');
}

function readSeconds(seconds: string): number {
  if (/^\d{1,5}$/.test(seconds)) return Number(seconds);
  throw new UserError(`--wait ${JSON.stringify(seconds)} is no number of seconds, such as 60.`);
}
