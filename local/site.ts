import path from 'node:path';
import { buildSite } from '../site/build.ts';
import { errorCode, reasonOf, UserError } from './errors.ts';

/** Where the pages of `/docs` are that belong to a bundle. */
export const siteOf = (bundle: string): string => path.join(path.dirname(bundle), 'site');

/** The folder of these pages beside a `wrangler.toml`, which names it as the directory of its assets. */
export const siteBeside = (configPath: string): string => path.join(path.dirname(configPath), 'dist', 'site');

/**
 * Makes the pages of `/docs`.
 *
 * @returns a digest of them.
 * @throws UserError if they cannot be made.
 */
export async function makeSite(folder: string): Promise<string> {
  try {
    return await buildSite(folder);
  } catch (error) {
    const where = errorCode(error) === null ? '' : ` in ${folder}`;
    throw new UserError(
      `The pages of /docs cannot be made${where}: ${reasonOf(error)}. \`npm ci\` installs all that it needs.`,
      {
        cause: error,
      },
    );
  }
}
