import { readFileSync } from 'node:fs';
import path from 'node:path';
import { errorCode, UserError } from '../../local/errors.ts';
import { LOCAL_ISSUER, openIssuer } from '../../local/issuer.ts';
import { openPeople, peopleIssuer } from '../../local/people/keys.ts';
import { localPolicy } from '../../local/policy.ts';
import { CHECKOUT, readSettings, stateDirOf } from '../../local/settings.ts';
import { readWebhooks } from '../../local/webhook-keys.ts';
import { parsePolicy, type Policy } from '../../src/config/policy.ts';
import { isObject, parseJson } from '../../src/kit/json.ts';
import { policyVersion } from '../../src/policy/version.ts';
import { readModuleFile, shownPath } from '../module-file.ts';
import { asUserStands } from '../user-path.ts';
import type { Presented } from './caller.ts';
import { shown } from './words.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** A policy that can be asked. */
export interface NamedPolicy {
  readonly policy: Policy;
  /** What its user calls it, such as `policy.ts`. */
  readonly name: string;
  readonly version: string;
}

/**
 * Reads a policy and checks it as the Worker does.
 *
 * @param file a `.ts` or `.json` file; null: `policy.ts` of the checkout.
 * @throws UserError with every problem.
 */
export async function readPolicyFile(file: string | null, environment: Environment): Promise<NamedPolicy> {
  const from = file === null ? path.join(CHECKOUT, 'policy.ts') : asUserStands(file, environment);
  return checked(await readExport(from, '--policy'), file ?? 'policy.ts');
}

/**
 * The policy that `npm start` gives its Worker.
 *
 * @throws UserError if nothing has ever run on the state directory, since its issuer has no key then.
 */
export async function readLocalPolicy(environment: Environment): Promise<NamedPolicy> {
  const stateDir = stateDirOf(environment);
  // It throws where there are none, so that no issuer's key is made here.
  const { github } = readWebhooks(stateDir);
  const { publicJwk } = await openIssuer(stateDir);
  const { upstream, oidcPort } = readSettings(environment);
  const people = await openPeople(stateDir, peopleIssuer(oidcPort));
  return checked(
    localPolicy(publicJwk, upstream.workspaceUuid, github.publicKey, people),
    `the policy of npm start (${LOCAL_ISSUER})`,
  );
}

/** @throws UserError with every problem. */
function checked(input: unknown, name: string): NamedPolicy {
  const parsed = parsePolicy(input);
  if (parsed.ok) return { policy: parsed.value, name, version: policyVersion(parsed.value) };
  const problems = parsed.error.map(({ key, problem, example }) => `  ${key} ${problem}\n    correct: ${example}`);
  throw new UserError(`${name} is no policy: the Worker would serve nothing but a fixed 500.\n${problems.join('\n')}`);
}

/**
 * What a module exports as its default, or the value of a `.json` file.
 *
 * @param option the option that names such a file.
 * @throws UserError if the file is not there, cannot be loaded, or has no default export.
 */
export async function readExport(file: string, option: string): Promise<unknown> {
  const read = await readModuleFile(file);
  if (read.ok) return read.value;
  throw new UserError(
    `${shown(shownPath(file))} ${read.error}. ${option} names a .ts file with a default export, or a .json file.`,
  );
}

function readText(file: string, option: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const why = errorCode(error) ?? 'unknown';
    throw new UserError(`${shown(file)} cannot be read (${why}): ${option} names a file.`, { cause: error });
  }
}

/** Where a JWT or its claims are: a file, standard input (`-`), or the variable COUNTERSIGN_JWT. */
export interface PresentedIn {
  readonly jwtFile: string | null;
  readonly claimsFile: string | null;
}

/** Three segments (RFC 7515 §7.1), the last of which may be empty: the service says so of such a JWT. */
const COMPACT_JWS = /^[\w-]+\.[\w-]+\.[\w-]*$/;

/**
 * Reads what somebody presents. A JWT is never an argument, because other users of the machine could read that, and no message
 * repeats it.
 *
 * @param standardInput reads standard input. It is called only for a file named `-`.
 * @throws UserError if there is none.
 */
export async function readPresented(
  { jwtFile, claimsFile }: PresentedIn,
  environment: Environment,
  standardInput: () => Promise<string>,
): Promise<Presented> {
  const read = async (file: string, option: string): Promise<string> =>
    file === '-' ? await standardInput() : readText(asUserStands(file, environment), option);
  if (claimsFile !== null) {
    const claims = parseJson(await read(claimsFile, '--claims'));
    if (isObject(claims)) return { kind: 'claims', claims };
    throw new UserError(
      `${shown(claimsFile)} holds no JSON object: --claims names the claims of a JWT, such as {"iss":"https://…","sub":"…"}.`,
    );
  }
  const jwt = jwtFile === null ? environment['COUNTERSIGN_JWT'] : await read(jwtFile, '--jwt-file');
  if (!jwt)
    throw new UserError(
      'Nobody asks: name a JWT with --jwt-file FILE (or COUNTERSIGN_JWT), or its claims with --claims FILE.',
    );
  const trimmed = jwt.trim();
  if (COMPACT_JWS.test(trimmed)) return { kind: 'jwt', jwt: trimmed };
  const from = jwtFile === null ? 'COUNTERSIGN_JWT' : shown(jwtFile);
  throw new UserError(`${from} does not hold a JWT and nothing else: three parts with dots between them.`);
}
