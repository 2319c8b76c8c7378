import { UserError } from '../local/errors.ts';
import { accountStep, checkStep, migrateStep } from './cloudflare/common-steps.ts';
import { readBookmark, readMigrations } from './cloudflare/database.ts';
import { neededSecrets } from './cloudflare/needed-secrets.ts';
import { COMMON_USAGE, readOptions } from './cloudflare/options.ts';
import { readSection } from './cloudflare/section.ts';
import { createSteps, runInSteps } from './cloudflare/steps.ts';
import { verify } from './cloudflare/verify.ts';
import { deployWorker, readDeployedVersion, readSecretNames } from './cloudflare/worker.ts';
import { print } from './output.ts';

const USAGE = `usage: npm run deploy -- --env staging|production [options]
Migrates the database, deploys this checkout, waits until it is ready, and says how to go back.
${COMMON_USAGE}`;

async function main(): Promise<void> {
  const options = readOptions('deploy', process.argv.slice(2), []);
  if (options === null) {
    print(USAGE);
    return;
  }
  const steps = createSteps(process.stdout);
  const section = readSection(options.configPath, options.section);

  const { policy, tag } = await checkStep(section, steps);
  const cloudflare = await accountStep(section, steps, false);
  steps.begin('what is there');
  const [applied, present, previous] = await Promise.all([
    readMigrations(cloudflare),
    readSecretNames(cloudflare),
    readDeployedVersion(cloudflare),
  ]);
  const setup = `Run: npm run setup -- --env ${section.name}`;
  if (applied === null) throw new UserError(`This account has no database ${section.databaseName}. ${setup}`);
  const needed = neededSecrets(policy).map(({ name }) => name);
  const missing = needed.filter((name) => present?.includes(name) !== true);
  if (missing.length > 0) {
    throw new UserError(`The Worker lacks ${missing.join(', ')}, and would serve nothing. ${setup}`);
  }
  steps.skipped('secrets', `all ${needed.length} are set`);
  const unset = ['TRAIL_KEY', 'STATE_SECRET'].filter((name) => present?.includes(name) !== true);
  if (unset.length > 0) {
    const words =
      'so the trail is not sealed, or not authenticated. Setup makes them, and `npm run doctor` says what they add';
    steps.note('secrets', `${unset.join(' and ')} ${unset.length === 1 ? 'is' : 'are'} not set, ${words}`);
  }

  let bookmark: string | null = null;
  await migrateStep(cloudflare, steps, applied, async () => {
    bookmark = await readBookmark(cloudflare);
  });
  steps.begin('deploy');
  const deployed = await deployWorker(cloudflare, tag, false);
  const at = deployed.url === null ? '' : ` at ${deployed.url}`;
  steps.done('deploy', `${section.workerName}${at}, version ${deployed.versionId ?? 'unknown'}`);
  try {
    await verify(options, steps, deployed);
  } finally {
    sayHowToGoBack(section.name, previous, bookmark);
  }
}

function sayHowToGoBack(section: string, previousId: string | null, bookmark: string | null): void {
  const version = previousId === null ? '' : ` ${previousId}`;
  print(`\nTo go back to the code before: npx wrangler rollback${version} --config wrangler.toml --env ${section}`);
  if (bookmark !== null) {
    print(`A rollback leaves the migrations in place. Before them the database stood at the bookmark
  ${bookmark}
To restore that undoes everything that was recorded since. Read docs/operate.md, "Restoring the database", before you do.`);
  }
}

await runInSteps(main);
