import { UserError } from '../local/errors.ts';
import type { Cloudflare } from './cloudflare/account.ts';
import { accountStep, checkStep, migrateStep } from './cloudflare/common-steps.ts';
import { createDatabase, readMigrations, type Whereabouts } from './cloudflare/database.ts';
import { keptSecretsFile, lockSetup, readSecrets } from './cloudflare/kept-secrets.ts';
import { neededSecrets } from './cloudflare/needed-secrets.ts';
import { COMMON_USAGE, readOptions } from './cloudflare/options.ts';
import { readSection, type Section } from './cloudflare/section.ts';
import { setSecrets } from './cloudflare/set-secrets.ts';
import { createSteps, runInSteps, type Steps } from './cloudflare/steps.ts';
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
                   where a new database is kept, as of \`wrangler d1 create\`; it cannot be changed later`;

async function main(): Promise<void> {
  const options = readOptions('setup', process.argv.slice(2), ['secrets', 'location', 'jurisdiction']);
  if (options === null) {
    print(USAGE);
    return;
  }
  const { secrets, ...whereabouts } = options.more;
  const steps = createSteps(process.stdout);
  const mayAsk = process.stdin.isTTY && process.stdout.isTTY;
  const section = readSection(options.configPath, options.section);
  lockSetup(section);
  const given = secrets === undefined ? new Map<string, string>() : readGivenSecrets(secrets);

  const { policy, tag } = await checkStep(section, steps);
  const cloudflare = await accountStep(section, steps, mayAsk);
  steps.begin('what is there');
  const [applied, present] = await Promise.all([readMigrations(cloudflare), readSecretNames(cloudflare)]);
  await databaseStep(cloudflare, steps, applied, whereabouts);
  await migrateStep(cloudflare, steps, applied ?? []);
  const needed = neededSecrets(policy);
  const changed = await setSecrets({ cloudflare, steps, mayAsk }, { needed, given, present: present ?? [] });
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
  if (webhooks.length > 0) {
    const paths = webhooks.map((name) => `/webhooks/${name}`).join(', ');
    print(`\nGive each sender of webhooks its URL and its secret: ${paths}.`);
  }
  print(`\nLater versions: npm run deploy -- --env ${section.name}`);
}

await runInSteps(main);
