import type { Policy } from '../../src/config/policy.ts';
import { type Cloudflare, connect } from './account.ts';
import { checkConfiguration } from './configuration.ts';
import { applyMigrations, pendingMigrations } from './database.ts';
import type { Section } from './section.ts';
import type { Steps } from './steps.ts';
import { buildTag } from './worker.ts';

/**
 * Builds the Worker and checks the policy and the settings. Nothing has been asked of Cloudflare by then.
 *
 * @throws UserError if the Worker does not build, or would not start.
 */
export async function checkStep(
  section: Section,
  steps: Steps,
): Promise<{ readonly policy: Policy; readonly tag: string }> {
  steps.begin('policy');
  const tag = await buildTag(section);
  const { policy, advice } = await checkConfiguration(section);
  steps.done('policy', 'the Worker builds, and starts with this policy and these settings');
  for (const { key, problem, example } of advice) steps.note('policy', `${key} ${problem}. Correct: ${example}`);
  return { policy, tag };
}

/** @throws UserError if there is no login, or if it is not clear which account is meant. */
export async function accountStep(section: Section, steps: Steps, mayAsk: boolean): Promise<Cloudflare> {
  steps.begin('account');
  const cloudflare = await connect(section, process.env, mayAsk);
  steps.done('account', `${cloudflare.account.name} (${cloudflare.account.id})`);
  return cloudflare;
}

/**
 * Applies the migrations that the database lacks.
 *
 * @param before is called where there are any, before the first.
 * @throws UserError if one cannot be applied, or if the database is newer than the checkout.
 */
export async function migrateStep(
  cloudflare: Cloudflare,
  steps: Steps,
  applied: readonly string[],
  before: () => Promise<void> = async () => {},
): Promise<void> {
  const pending = pendingMigrations(cloudflare, applied);
  if (pending.length === 0) {
    steps.skipped('migrations', `all ${applied.length} are applied`);
    return;
  }
  steps.begin('migrations');
  await before();
  await applyMigrations(cloudflare);
  steps.done('migrations', `applied ${pending.length}, the last of them ${pending.at(-1) ?? ''}`);
}
