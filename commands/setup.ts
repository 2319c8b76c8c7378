import { UserError } from '../local/errors.ts';
import type { Cloudflare } from './cloudflare/account.ts';
import { accountStep, checkStep, migrateStep } from './cloudflare/common-steps.ts';
import { checkJurisdiction, createBucket } from './cloudflare/bucket.ts';
import { createDatabase, hasEvents, readMigrations, type Whereabouts } from './cloudflare/database.ts';
import { keptSecretsFile, lockSetup, readSecrets } from './cloudflare/kept-secrets.ts';
import { type NeededSecret, neededSecrets, STATE_SECRET } from './cloudflare/needed-secrets.ts';
import { COMMON_USAGE, readOptions } from './cloudflare/options.ts';
import { readSection, type Section } from './cloudflare/section.ts';
import { setSecrets } from './cloudflare/set-secrets.ts';
import { createSteps, runInSteps, type Steps } from './cloudflare/steps.ts';
import { keepVerifier, keptVerifier, newTrailKey, trailName, verifierOfTrailKey } from './cloudflare/trail-key.ts';
import { verify } from './cloudflare/verify.ts';
import {
  type Deployed,
  deployTriggers,
  deployWorker,
  readDeployedVersion,
  readSecretNames,
  readTag,
} from './cloudflare/worker.ts';
import { print } from './output.ts';
import { asUserStands } from './user-path.ts';

const USAGE = `usage: npm run setup -- --env staging|production [options]
Brings an empty Cloudflare account to a ready service. What is done already is skipped, so it can be run again at any time.
${COMMON_USAGE}
  --secrets FILE   NAME=value in each line: sets these, also where they are set already. /dev/stdin works
  --location HINT, --jurisdiction NAME
                   where a new database is kept, as of \`wrangler d1 create\`; it cannot be changed later
  --trail-name NAME
                   how the transparency log is called for good, as countersign.example.com/trail; by default after the host`;

async function main(): Promise<void> {
  const options = readOptions('setup', process.argv.slice(2), ['secrets', 'location', 'jurisdiction', 'trail-name']);
  if (options === null) {
    print(USAGE);
    return;
  }
  const { secrets, 'trail-name': named, ...whereabouts } = options.more;
  const steps = createSteps(process.stdout);
  const mayAsk = process.stdin.isTTY && process.stdout.isTTY;
  const section = readSection(options.configPath, options.section);
  checkJurisdiction(section, whereabouts);
  lockSetup(section);
  const given = secrets === undefined ? new Map<string, string>() : readGivenSecrets(secrets);

  const { policy, tag } = await checkStep(section, steps);
  const cloudflare = await accountStep(section, steps, mayAsk);
  steps.begin('what is there');
  const [applied, present] = await Promise.all([readMigrations(cloudflare), readSecretNames(cloudflare)]);
  await databaseStep(cloudflare, steps, applied, whereabouts);
  await bucketStep(cloudflare, steps, whereabouts);
  await migrateStep(cloudflare, steps, applied ?? []);
  const known = { given, present: present ?? [] };
  const needed = [...neededSecrets(policy), ...(await stateSecretStep(cloudflare, steps, known))];
  const unkept = await trailKeyStep(cloudflare, steps, { ...known, named, url: options.url });
  const changed = await setSecrets({ cloudflare, steps, mayAsk }, { ...known, needed, unkept });
  const deployed = await deployStep(cloudflare, steps, { tag, mayAsk, mustDeploy: changed });
  await verify(options, steps, deployed);
  sayWhatIsLeft(
    section,
    policy.webhooks.map(({ name }) => name),
  );
}

function readGivenSecrets(file: string): ReadonlyMap<string, string> {
  const secrets = readSecrets(asUserStands(file));
  if (secrets === null) throw new UserError(`There is no file ${file}. It should hold NAME=value in each line.`);
  return secrets;
}

async function databaseStep(
  cloudflare: Cloudflare,
  steps: Steps,
  found: readonly string[] | null,
  whereabouts: Whereabouts,
): Promise<void> {
  const { databaseName } = cloudflare.section;
  if (found !== null) {
    steps.skipped('database', `${databaseName} is there`);
    return;
  }
  steps.begin('database');
  await createDatabase(cloudflare, whereabouts);
  steps.done('database', `created ${databaseName}`);
}

async function bucketStep(cloudflare: Cloudflare, steps: Steps, whereabouts: Whereabouts): Promise<void> {
  const { bucket, name } = cloudflare.section;
  if (bucket === null) {
    steps.note(
      'bucket',
      `[env.${name}] has no bucket TRAIL, so the transparency log is kept in D1, beside what it proves`,
    );
    return;
  }
  steps.begin('bucket');
  if (await createBucket(cloudflare, bucket, whereabouts)) steps.done('bucket', `created ${bucket.name}`);
  else steps.skipped('bucket', `${bucket.name} is there`);
}

interface Known {
  readonly given: ReadonlyMap<string, string>;
  readonly present: readonly string[];
}

const isKnown = (name: string, { given, present }: Known): boolean => given.has(name) || present.includes(name);

/**
 * STATE_SECRET among what is needed. It is held back where the trail has events that were written without it, until the operator says how
 * long the Worker adopts those.
 */
async function stateSecretStep(cloudflare: Cloudflare, steps: Steps, known: Known): Promise<readonly NeededSecret[]> {
  const { section } = cloudflare;
  if (isKnown(STATE_SECRET.name, known) || ADOPT_UNTIL in section.vars) return [STATE_SECRET];
  steps.begin('secrets');
  if (!(await hasEvents(cloudflare))) return [STATE_SECRET];
  const until = new Date(Date.now() + ADOPTION_MS).toISOString().slice(0, 10);
  steps.note(
    'secrets',
    `STATE_SECRET is not made yet: the database has rows that were written without it. Write ${ADOPT_UNTIL} = "${until}" into [env.${section.name}.vars], the day until whose end those are adopted, and run this again`,
  );
  return [];
}

/** The setting that says until when rows without a MAC are adopted. */
const ADOPT_UNTIL = 'STATE_ADOPT_UNTIL';
/** A day: long enough for the cron to adopt the rows of years. */
const ADOPTION_MS = 24 * 60 * 60 * 1000;

/** Makes TRAIL_KEY where there is none. It stands in no file: whoever has a copy can write another history. */
async function trailKeyStep(
  cloudflare: Cloudflare,
  steps: Steps,
  { named, url, ...known }: Known & { readonly named: string | undefined; readonly url: string | null },
): Promise<ReadonlyMap<string, string>> {
  const given = known.given.get('TRAIL_KEY');
  const verifier = given === undefined ? null : await verifierOfTrailKey(given);
  if (verifier !== null) keepVerifier(cloudflare.section, verifier);
  if (isKnown('TRAIL_KEY', known)) return new Map();
  const name = await trailName(cloudflare, { named, url });
  if (name === null) {
    steps.note(
      'secrets',
      'TRAIL_KEY is not made yet: nothing says at which host the service answers. Run this again once it is deployed, or with --trail-name NAME',
    );
    return new Map();
  }
  const key = await newTrailKey(name);
  keepVerifier(cloudflare.section, (await verifierOfTrailKey(key)) ?? '');
  return new Map([['TRAIL_KEY', key]]);
}

/** Deploys, unless this very code is deployed. A change of secrets made a version of its own, which may be one without code. */
async function deployStep(
  cloudflare: Cloudflare,
  steps: Steps,
  { tag, mayAsk, mustDeploy }: { readonly tag: string; readonly mayAsk: boolean; readonly mustDeploy: boolean },
): Promise<Deployed> {
  steps.begin('deploy');
  const { workerName } = cloudflare.section;
  const current = mustDeploy ? null : await readDeployedVersion(cloudflare);
  if (current !== null && (await readTag(cloudflare, current)) === tag) {
    const deployed = await deployTriggers(cloudflare);
    steps.skipped('deploy', `this very code is deployed: ${workerName}, version ${current}`);
    return deployed;
  }
  const deployed = await deployWorker(cloudflare, tag, mayAsk);
  const at = deployed.url === null ? '' : ` at ${deployed.url}`;
  steps.done('deploy', `${workerName}${at}, version ${deployed.versionId ?? 'unknown'}`);
  return deployed;
}

function sayWhatIsLeft(section: Section, webhooks: readonly string[]): void {
  const file = keptSecretsFile(section);
  if (readSecrets(file) !== null) {
    print(`
The generated secrets are in ${file}, which only you can read and git ignores.
Put this into your vault, then delete the file: Cloudflare does not show a secret again.`);
  }
  const log = keptVerifier(section);
  if (log !== null) {
    print(`
The trail is sealed in a transparency log. Its verifier key is no secret. Give it to whoever checks the trail; it is in ${log.file} too:
  ${log.verifier}
The key that signs is at Cloudflare alone.`);
  }
  if (webhooks.length > 0) {
    const paths = webhooks.map((name) => `/webhooks/${name}`).join(', ');
    print(`\nGive each sender of webhooks its URL and its secret: ${paths}.`);
  }
  print(`\nLater versions: npm run deploy -- --env ${section.name}`);
}

await runInSteps(main);
