import type { Status, Whoami } from '../../package/client/types.ts';
import { printable } from '../terminal-text.ts';
import { type Command, defineCommand } from './command.ts';
import type { Facts } from './result.ts';

const whoami = defineCommand({
  words: 'whoami',
  about: 'Says who you are at the service, and what your roles allow.',
  usage: '',
  options: {},
  role: 'admin',
  permission: 'of any role',
  prepare: () => async (client, output) => {
    const you = await client.whoami();
    await output.facts(you, () => factsOf(you));
  },
});

const factsOf = ({ issuer, subject, label, actor_type, roles, live_tokens }: Whoami): Facts => [
  ['SUBJECT', printable(subject)],
  ['ISSUER', printable(issuer)],
  ['LABEL', printable(label ?? '')],
  ['TYPE', printable(actor_type)],
  ['TOKENS', `${live_tokens.count ?? '?'} live, of at most ${live_tokens.limit ?? 0}`],
  ...roles.map(({ name, permissions, tokens, workspaces, scopes }): [string, string] => [
    'ROLE',
    printable(
      `${name}: ${permissions.join(' ')}; tokens ${tokens}; workspaces ${workspaces.join(' ')}; scopes ${scopes.join(' ') || 'none'}`,
    ),
  ]),
];

const status = defineCommand({
  words: 'status',
  about: 'Shows how the service is: what is open, what somebody should look into.',
  usage: '',
  options: {},
  role: 'auditor',
  permission: 'audit:read',
  prepare: () => async (client, output) => {
    const shown = await client.status();
    await output.facts(shown, () => statusFacts(shown));
  },
});

const statusFacts = ({
  ready,
  not_ready,
  degraded,
  policy,
  open_attempts,
  orders,
  expiring,
  usage,
  quota,
}: Status): Facts => [
  ['READY', ready ? 'yes' : 'no'],
  ...[...not_ready, ...degraded].map(({ reason, what_to_do }): [string, string] => [
    'TROUBLE',
    printable(`${reason}: ${what_to_do}`),
  ]),
  ['POLICY', printable(policy.version)],
  ['ATTEMPTS', `${open_attempts.count} open`],
  ['ORDERS', `${orders.open} open, ${orders.acknowledged} acknowledged, ${orders.failed} failed`],
  ...(expiring === undefined
    ? []
    : [
        [
          'EXPIRING',
          `${expiring.within_1_day} within a day, ${expiring.within_7_days} within 7, ${expiring.within_30_days}${expiring.more ? ' or more' : ''} within 30`,
        ] as const,
      ]),
  ...(usage === undefined
    ? []
    : [
        [
          'UNUSED',
          `${usage.unused} unused, ${usage.never_used} never used; unknown in ${usage.unknown.workspaces} of ${usage.workspaces} workspaces`,
        ] as const,
      ]),
  [
    'QUOTA',
    `${quota.minute.reserved} of ${quota.minute.limit} a minute, ${quota.hour.reserved} of ${quota.hour.limit} an hour`,
  ],
];

export const SERVICE_COMMANDS: readonly Command[] = [whoami, status];
