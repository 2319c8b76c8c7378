// Questions that are asked often, as links.

export interface Saved {
  readonly title: string;
  readonly query: string;
  readonly showsReads: boolean;
}

const saved = (title: string, query: string, showsReads = false): Saved => ({ title, query, showsReads });

/** For whoever reads the whole trail. */
export const SAVED: readonly Saved[] = [
  saved('Everything', ''),
  saved('Who minted api:full', 'action:service_account_token.create status:success scope:api:full'),
  saved('Denied this week', 'code:forbidden from:7d', true),
  saved('Leaks and webhooks', 'type:webhook'),
  saved('What the service did itself', 'type:system'),
  saved('Reads of the trail', 'action:audit.*'),
  saved('Not settled yet', 'status:attempted'),
  saved('My own', 'actor:me'),
];

/** For whoever reads only what it did. */
export const SAVED_OF_ONES_OWN: readonly Saved[] = [
  saved('Everything', ''),
  saved('Minted', 'action:service_account_token.create'),
  saved('Revoked', 'action:service_account_token.revoke'),
  saved('Denied', 'code:forbidden', true),
  saved('Failed', 'status:failure'),
];
