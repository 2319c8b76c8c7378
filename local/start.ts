import { readSettings } from './settings.ts';
import { run } from './run.ts';
import { createShutdown } from './shutdown.ts';
import { UserError } from './errors.ts';

// `npm start | head` closes our output; that is no reason to fall over.
process.stdout.on('error', () => {});

const shutdown = createShutdown();
try {
  await run(readSettings(process.env), shutdown);
} catch (error) {
  console.error(error instanceof UserError ? error.message : `Countersign did not start: ${oneLine(error)}`);
  await shutdown.stop(1);
}

function oneLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n', 1)[0] ?? '';
}
