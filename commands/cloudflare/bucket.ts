import { UserError } from '../../local/errors.ts';
import { wranglerError } from '../../local/wrangler.ts';
import type { Cloudflare } from './account.ts';
import type { Whereabouts } from './database.ts';
import type { Section } from './section.ts';

/** How Cloudflare refuses an account that has no R2 ("Please enable R2 through the Cloudflare Dashboard"). */
const NO_R2_CODE = '10042';
/** How it refuses a bucket that is there already, in this account. */
const TAKEN = /\b1000[34]\b|already exists/;

/**
 * Creates the bucket of a section for the files of the transparency log.
 *
 * @returns whether it was not there yet.
 * @throws UserError with wrangler's reason. Where the account has no R2, it says both ways out.
 */
export async function createBucket(
  { wrangler, section }: Cloudflare,
  bucket: NonNullable<Section['bucket']>,
  { location }: Whereabouts,
): Promise<boolean> {
  const { name, jurisdiction } = bucket;
  // R2 takes one of the two, and a jurisdiction says where by itself.
  const where =
    jurisdiction === null ? (location === undefined ? [] : ['--location', location]) : ['--jurisdiction', jurisdiction];
  const run = await wrangler(['r2', 'bucket', 'create', name, ...where]);
  if (run.exitCode === 0) return true;
  const error = wranglerError(run);
  if (TAKEN.test(error)) return false;
  throw new UserError(`The bucket ${name} was not created: ${error}${waysWithoutR2(error, section)}`);
}

/** What to do about an error that says that the account has no R2; empty for any other. */
export function waysWithoutR2(error: string, { name, configPath, bucket }: Section): string {
  if (bucket === null) return '';
  // wrangler goes on where it may not make a bucket, and Cloudflare then refuses the version.
  if (/R2 bucket .*not found/.test(error)) return ` Run: npm run setup -- --env ${name}`;
  if (!error.includes(NO_R2_CODE)) return '';
  return `
The files of the transparency log are kept in R2, which this account does not have. Do one of these, and run this again:
  switch R2 on in Cloudflare's dashboard, under "R2 object storage"; it asks for a way to pay, and has ten gigabytes free
  take the block [[env.${name}.r2_buckets]] out of ${configPath}: the log is then kept in D1, beside what it proves`;
}

/**
 * Refuses a jurisdiction that the bucket would not have: the Worker would look for it elsewhere.
 *
 * @throws UserError that says what to write.
 */
export function checkJurisdiction({ name, configPath, bucket }: Section, { jurisdiction }: Whereabouts): void {
  if (bucket === null || jurisdiction === undefined || bucket.jurisdiction === jurisdiction) return;
  throw new UserError(
    `--jurisdiction ${jurisdiction} is for the bucket too. Write jurisdiction = "${jurisdiction}" into [[env.${name}.r2_buckets]] of ${configPath}, and run this again.`,
  );
}
