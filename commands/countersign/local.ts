import { endWith } from '../usage.ts';
import { checkoutHost } from './checkout.ts';
import { run } from './run.ts';

// `npm run countersign`: the command of the package, on the service of this checkout unless another is named.
const host = checkoutHost((command) => `npm run -s countersign -- ${command}`.trimEnd());
await endWith(async () => await run(process.argv.slice(2), host, 'of this checkout'));
