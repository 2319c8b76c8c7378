import { UserError } from '../../local/errors.ts';
import type { Cloudflare } from './account.ts';
import { askSecret } from '../ask-secret.ts';
import { keepSecrets, keptSecretsFile, readSecrets } from './kept-secrets.ts';
import { type NeededSecret, OPTIONAL_SECRETS, optionalSecretProblem } from './needed-secrets.ts';
import type { Section } from './section.ts';
import type { Steps } from './steps.ts';
import { putSecrets } from './worker.ts';

interface Setting {
  readonly cloudflare: Cloudflare;
  readonly steps: Steps;
  /** Whether a person sits at the terminal. */
  readonly mayAsk: boolean;
}

interface Secrets {
  readonly needed: readonly NeededSecret[];
  /** The values of a file that the operator named. They are set even where they are set already. */
  readonly given: ReadonlyMap<string, string>;
  /** The names of those that the Worker has. */
  readonly present: readonly string[];
  /** Made by now, and kept in no file. They are set with the others. */
  readonly unkept: ReadonlyMap<string, string>;
}

/**
 * Sets the secrets that the Worker lacks, and those that were given. A generated one is kept in a file before it is set, so that a
 * run that is killed in between loses none.
 *
 * @returns whether any was set.
 * @throws UserError if one is needed and nobody can be asked, or if a value is none.
 */
export async function setSecrets(setting: Setting, { needed, given, present, unkept }: Secrets): Promise<boolean> {
  const { cloudflare, steps, mayAsk } = setting;
  const nowMs = Date.now();
  await checkGiven(given, needed, nowMs);
  const missing = needed.filter(({ name }) => !present.includes(name) && !given.has(name));
  if (missing.length === 0 && given.size === 0 && unkept.size === 0) {
    steps.skipped('secrets', `all ${needed.length} are set`);
    return false;
  }
  const asked = new Map<string, string>();
  for (const secret of missing.filter(({ generate }) => generate === null)) {
    const { name, meaning } = secret;
    if (!mayAsk) throw new UserError(`${name} is missing: ${meaning}. ${howToGive(cloudflare.section.name, name)}`);
    asked.set(
      name,
      await askSecret(`${name}, ${meaning}; what you type is not shown: `, (value) => secret.problemOf(value, nowMs)),
    );
  }
  const generated = generateMissing(cloudflare.section, missing);
  steps.begin('secrets');
  await putSecrets(cloudflare, new Map([...given, ...asked, ...generated, ...unkept]));
  const parts = [
    describe('generated', [...generated.keys(), ...unkept.keys()]),
    describe('asked for', [...asked.keys()]),
    describe('given', [...given.keys()]),
  ];
  steps.done('secrets', `set ${parts.filter((part) => part !== '').join('; ')}`);
  return true;
}

const describe = (how: string, names: readonly string[]): string =>
  names.length === 0 ? '' : `${names.join(', ')} (${how})`;

function howToGive(section: string, name: string): string {
  return `Run this on a terminal to be asked for it, or write ${name}=… into a file of mode 0600 and run: npm run setup -- --env ${section} --secrets FILE`;
}

async function checkGiven(
  given: ReadonlyMap<string, string>,
  needed: readonly NeededSecret[],
  nowMs: number,
): Promise<void> {
  for (const [name, value] of given) {
    const secret = needed.find((one) => one.name === name);
    if (secret === undefined && !OPTIONAL_SECRETS.some((optional) => optional === name)) {
      const known = [...needed.map((one) => one.name), ...OPTIONAL_SECRETS].join(', ');
      throw new UserError(`${name} is no secret of this Worker. It has ${known}.`);
    }
    const problem =
      secret === undefined ? await optionalSecretProblem(name, value, nowMs) : secret.problemOf(value, nowMs);
    if (problem !== null) throw new UserError(`The given ${name} ${problem}.`);
  }
}

/** Generates what is missing, or takes it from the file of an earlier run, and keeps it there. */
function generateMissing(section: Section, missing: readonly NeededSecret[]): ReadonlyMap<string, string> {
  const file = keptSecretsFile(section);
  const kept = readSecrets(file) ?? new Map<string, string>();
  const generated = missing.flatMap(({ name, generate }): [string, string][] =>
    generate === null ? [] : [[name, kept.get(name) ?? generate()]],
  );
  if (generated.some(([name]) => !kept.has(name))) keepSecrets(file, section.name, new Map([...kept, ...generated]));
  return new Map(generated);
}
