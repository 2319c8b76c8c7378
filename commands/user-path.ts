import path from 'node:path';
import { CHECKOUT } from '../local/settings.ts';

/**
 * A path that a user names, from the folder where the user stands: npm runs a command in that of package.json, and says in INIT_CWD
 * where it was called. A command that runs elsewhere was not started by our npm, and INIT_CWD may be that of another project.
 */
export function asUserStands(
  named: string,
  environment: Readonly<Record<string, string | undefined>> = process.env,
  workingFolder: string = process.cwd(),
): string {
  const initial = workingFolder === CHECKOUT ? environment['INIT_CWD'] : undefined;
  return path.resolve(initial || workingFolder, named);
}
