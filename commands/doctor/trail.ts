import type { Finding } from '../../src/config/problems.ts';
import type { WranglerConfig } from './environment.ts';

/** Whether the log's files have a bucket. */
export const hasTrailBucket = ({ r2_buckets: buckets }: WranglerConfig): boolean =>
  buckets.some(({ binding }) => binding === 'TRAIL');

/** What is known of how the trail is sealed. */
export interface Sealing {
  /** The names of the settings and secrets that are set; null where nobody knows those of secrets. */
  readonly names: ReadonlySet<string> | null;
  readonly hasBucket: boolean;
  /** The section that is looked at; null for the settings of this machine. */
  readonly section: string | null;
}

const warning = (key: string, problem: string, example: string): Finding => ({
  severity: 'warning',
  key,
  problem,
  example,
});

const NO_BUCKET =
  'is no bucket, so the log is kept in D1: whoever administers D1 can rewrite its files with the rows. Left are the signature, and the checkpoints that others keep';

/**
 * What wrangler.toml alone says of the seal of a deployed trail, as notes: only the deployment knows whether there is a key.
 *
 * @param vars the names in the section's `vars`.
 */
export const sealingNotes = ({
  vars,
  hasBucket,
}: {
  vars: readonly string[];
  hasBucket: boolean;
}): readonly string[] => [
  ...(hasBucket ? [] : [`TRAIL ${NO_BUCKET}.`]),
  ...(vars.includes('TRAIL_WITNESSES') || vars.includes('TRAIL_ANCHORS')
    ? []
    : [
        'TRAIL_WITNESSES and TRAIL_ANCHORS are not in wrangler.toml. Unless the deployment has TRAIL_ANCHORS as a secret, nobody outside keeps checkpoints of the log.',
      ]),
];

/** What the seal of the trail is worth as it is configured, and what would add to it. All of it is optional, so none is a problem. */
export function sealingFindings({ names, hasBucket, section }: Sealing): readonly Finding[] {
  const setup = `\`npm run setup -- --env ${section ?? 'production'}\`, which makes it`;
  const lacks = (name: string): boolean => names !== null && !names.has(name);
  const isSealed = names?.has('TRAIL_KEY') === true;
  const isSeenOutside = names?.has('TRAIL_WITNESSES') === true || names?.has('TRAIL_ANCHORS') === true;
  return [
    ...(lacks('TRAIL_KEY')
      ? [
          warning(
            'TRAIL_KEY',
            'is not set, so the trail is not sealed: whoever can write to D1 can change, drop and re-date its rows, and nothing shows it',
            setup,
          ),
        ]
      : []),
    ...(lacks('STATE_SECRET')
      ? [
          warning(
            'STATE_SECRET',
            'is not set, so nothing in D1 is authenticated: a row that somebody else adds there is taken for one of the Worker, and sealed as such',
            setup,
          ),
        ]
      : []),
    ...(hasBucket
      ? []
      : [warning('TRAIL', NO_BUCKET, 'switch R2 on, and [[r2_buckets]] with binding = "TRAIL" in wrangler.toml')]),
    ...(isSealed && !isSeenOutside
      ? [
          warning(
            'TRAIL_WITNESSES',
            'and TRAIL_ANCHORS are not set, so nobody outside keeps checkpoints: whoever has TRAIL_KEY and the databases can write another history. One checkpoint elsewhere shows it',
            'TRAIL_ANCHORS = "https://anchor.example/checkpoints" at somebody else\'s; or auditors who run `npm run -s verify` with --state',
          ),
        ]
      : []),
  ];
}
