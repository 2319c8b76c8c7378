import { checkoutHost } from '../countersign/checkout.ts';
import { endWith } from '../usage.ts';
import { runVerify } from './run.ts';

// `npm run verify`: the command `verify` of the package, on the service of this checkout unless another is named.
await endWith(
  async () =>
    await runVerify(
      process.argv.slice(2),
      checkoutHost(() => 'npm run -s verify --'),
    ),
);
