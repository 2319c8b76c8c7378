import { UserError } from '../../local/errors.ts';
import { print, watchOutput } from '../output.ts';
import { readOptions, USAGE, UsageError } from './options.ts';
import { reportLines } from './report.ts';

/** Reads the configuration as the Worker would, and says for each problem how the setting should be. */
async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  if (options === null) {
    print(USAGE);
    return;
  }
  // wrangler takes a second to load. Whoever asks for help does not wait for it.
  const { examine } = await import('./examine.ts');
  const examination = await examine(options, process.env, Date.now());
  for (const line of reportLines(examination)) print(line);
  if (examination.findings.some(({ severity }) => severity === 'problem')) process.exitCode = 1;
}

watchOutput();
try {
  await main();
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.error(error instanceof UsageError ? `${error.message}\n${USAGE}` : error.message);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
