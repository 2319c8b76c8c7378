import { UserError } from '../../local/errors.ts';
import type { DeploymentOptions } from './options.ts';
import { waitUntilReady } from './readiness.ts';
import type { Steps } from './steps.ts';
import type { Deployed } from './worker.ts';

/**
 * Waits until the deployed service says that it is ready.
 *
 * @throws UserError if it is not ready in time, with what it said last.
 */
export async function verify(options: DeploymentOptions, steps: Steps, deployed: Deployed): Promise<void> {
  const url = options.url ?? deployed.url;
  if (url === null) {
    throw new UserError(
      'The Worker is deployed, and wrangler names no address of it. Say where /readyz is asked: --url https://…',
    );
  }
  steps.begin('ready');
  const readiness = await waitUntilReady(url, options.patienceMs, (reason) => steps.begin(`ready: ${reason}`));
  if (!readiness.ready) {
    throw new UserError(
      `${url}/readyz is not ready after ${options.patienceMs / 1000} s: ${readiness.reason}
The reason is in the Worker's log: npx wrangler tail --config wrangler.toml --env ${options.section}`,
    );
  }
  steps.done('ready', `${url}/readyz`);
  if (readiness.degraded.length > 0) {
    steps.note('ready', `it says to look into ${readiness.degraded.join(', ')}: docs/operate.md, "Watching it"`);
  }
}
