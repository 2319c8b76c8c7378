import { checkoutHost } from '../countersign/checkout.ts';
import { endWith } from '../usage.ts';
import { runAudit } from './run.ts';

// `npm run audit`: the command `audit` of the package, on the service of this checkout unless another is named.
await endWith(
  async () =>
    await runAudit(
      process.argv.slice(2),
      checkoutHost(() => 'npm run -s audit --'),
    ),
);
