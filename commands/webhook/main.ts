import { checkoutHost } from '../countersign/checkout.ts';
import { endWith } from '../usage.ts';
import { runWebhook } from './run.ts';

// `npm run webhook`: the command `webhook` of the package, with the keys of this checkout's service unless a secret is named.
await endWith(
  async () =>
    await runWebhook(
      process.argv.slice(2),
      checkoutHost(() => 'npm run -s webhook --'),
    ),
);
