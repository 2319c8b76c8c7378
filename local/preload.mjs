// Runs before each command of package.json. It is plain JavaScript, because an older Node would fail on the command's TypeScript with a
// stack trace that says nothing of what to do.

import { existsSync } from 'node:fs';
import module from 'node:module';
import { fileURLToPath } from 'node:url';

/** The first Node with all that the commands use: TypeScript without a flag, `node:sqlite`, `import.meta.main`. */
const NODE_MIN = [24, 2];

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
const isOld = major < NODE_MIN[0] || (major === NODE_MIN[0] && minor < NODE_MIN[1]);

if (!existsSync(new URL('../node_modules/zod', import.meta.url))) {
  stop('The packages are not installed. Run `npm ci` first.');
} else if (isOld) {
  // The package `node` brings a Node of its own. Its install script puts that into node_modules/.bin, where npm looks first.
  stop(
    `Node ${process.versions.node} is too old to run Countersign, and the newer one that npm installs beside it was not set up, because ` +
      'install scripts are switched off (ignore-scripts). Run `npm rebuild node --ignore-scripts=false`, then try again.',
  );
}

// Code is compiled at the first start and not at each: a command starts in a third of the time, and so does the wrangler that it runs. The
// cache stands in node_modules, whose owner runs the code anyway; in a folder for all users somebody else could put code there.
process.env['NODE_COMPILE_CACHE'] ??= fileURLToPath(new URL('../node_modules/.cache/compiled', import.meta.url));
module.enableCompileCache(process.env['NODE_COMPILE_CACHE']);

// wrangler writes a log of its own under HOME, and prints a stack trace where it cannot.
process.env['WRANGLER_WRITE_LOGS'] ??= 'false';
// wrangler and Node choose proxies while they are loaded, so the exceptions are there before the command is.
const { keepLoopbackDirect } = await import('./loopback.ts');
keepLoopbackDirect();

/** @param {string} message */
function stop(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}
