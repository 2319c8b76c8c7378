import { setTimeout as delay } from 'node:timers/promises';
import { UserError } from '../../local/errors.ts';
import type { Client } from '../../package/client/client.ts';
import type { OrderRevocation } from '../../package/client/requests.ts';
import type { Delivery, Subject, WholeDelivery } from '../../package/client/types.ts';
import type { Column } from '../columns.ts';
import { printable, shownTime } from '../terminal-text.ts';
import { chooseOne, flag, text, texts, UsageError } from '../usage.ts';
import { type Whom, whomOf } from '../whom.ts';
import { limited } from './arguments.ts';
import { type Command, defineCommand } from './command.ts';
import type { Host } from './host.ts';
import type { Facts, Output } from './result.ts';

const WHOM = { subject: text, issuer: text, label: text } as const;

function reasonOf(words: string, reason: string | undefined): string {
  if (!reason) throw new UsageError(`${words} needs --reason TEXT: it stands in the trail.`);
  return reason;
}

const revoke = defineCommand({
  words: 'revoke',
  about: `The incident button: revokes what somebody owns and refuses them, or revokes tokens by id.
--mode suspend suspends instead. --wait waits until PipeOps has acknowledged it.`,
  usage: `--subject NAME [--issuer URL] | --label LABEL  --reason TEXT [--mode revoke|suspend] [--wait]
       countersign revoke --token ID… --workspace UUID --reason TEXT [--wait]`,
  options: { ...WHOM, token: texts, workspace: text, mode: text, reason: text, wait: flag },
  role: 'admin',
  permission: "tokens:revoke in a role with tokens: 'any'",
  prepare: ({ values, host }) => {
    const order = orderOf(values, host);
    return async (client, output) => {
      const receipt = await client.revocations.create(order);
      if (!values.wait) {
        await showReceipt(receipt, output);
        return;
      }
      const ended = await untilCarriedOut(client, receipt);
      await showReceipt(ended, output);
      const { failed } = ended.orders;
      if (failed > 0)
        throw new UserError(`${failed} of the tokens could not be revoked: ${host.call(`deliveries get ${ended.id}`)}`);
    };
  },
});

interface RevokeValues extends Whom {
  readonly token?: readonly string[] | undefined;
  readonly workspace?: string | undefined;
  readonly mode?: string | undefined;
  readonly reason?: string | undefined;
}

function orderOf(values: RevokeValues, host: Host): OrderRevocation {
  const { token, workspace, mode } = values;
  const reason = reasonOf('revoke', values.reason);
  if (token === undefined) {
    if (mode !== undefined && mode !== 'revoke' && mode !== 'suspend') {
      throw new UsageError('--mode takes revoke or suspend.');
    }
    if (workspace !== undefined) throw new UsageError('--workspace goes with --token: a leaver is refused everywhere.');
    return { subject: whomOf('revoke', values, host.defaultIssuer), ...(mode !== undefined && { mode }), reason };
  }
  if (values.subject !== undefined || values.label !== undefined || mode !== undefined) {
    throw new UsageError('--token does not go with --subject, --label and --mode.');
  }
  if (!workspace) throw new UsageError('revoke --token needs --workspace UUID: the ids are of one workspace.');
  return { workspace_uuid: workspace, token_ids: token, reason };
}

const POLL_MS = 2_000;
const isCarriedOut = ({ orders, orders_left }: Delivery): boolean => orders.open === 0 && orders_left !== true;

async function untilCarriedOut(client: Client, receipt: WholeDelivery): Promise<WholeDelivery> {
  let seen = receipt;
  while (!isCarriedOut(seen)) {
    await delay(POLL_MS);
    seen = await client.revocations.get(receipt.id);
  }
  return seen;
}

const reinstate = defineCommand({
  words: 'reinstate',
  about: 'Lifts the block of somebody who left and is back. Their revoked tokens stay revoked.',
  usage: '--subject NAME [--issuer URL] | --label LABEL  --reason TEXT',
  options: { ...WHOM, reason: text },
  role: 'admin',
  permission: "tokens:revoke in a role with tokens: 'any' and workspaces: ['*']",
  prepare: ({ values, host }) => {
    const order = {
      subject: whomOf('reinstate', values, host.defaultIssuer),
      reason: reasonOf('reinstate', values.reason),
    };
    return async (client, output) => await showReceipt(await client.reinstatements.create(order), output);
  },
});

const revocation = defineCommand({
  words: 'revocations get',
  about: 'Shows how far a revocation is.',
  usage: 'ID',
  options: {},
  operands: ['ID'],
  role: 'auditor',
  permission: 'tokens:revoke',
  prepare:
    ({ operands: [id = ''] }) =>
    async (client, output) =>
      await showReceipt(await client.revocations.get(id), output),
});

const SUBJECT_COLUMNS = [
  { title: 'LABEL', least: 8, usual: 32, yields: 1, cut: 'end' },
  { title: 'SUBJECT', least: 8, usual: 32, yields: 2, cut: 'end' },
  { title: 'LIVE', least: 4, usual: 6, yields: 0, cut: 'end' },
  { title: 'TOTAL', least: 5, usual: 6, yields: 0, cut: 'end' },
  { title: 'BLOCKED SINCE', least: 13, usual: 20, yields: 0, cut: 'end' },
  { title: 'REASON', least: 6, usual: 24, yields: 3, cut: 'end', room: 1 },
  { title: 'ISSUER', least: 8, usual: 32, yields: 4, cut: 'end', room: 2 },
] as const satisfies readonly Column[];

const subjectLine = ({ label, subject, issuer, tokens, blocks }: Subject): readonly string[] => [
  printable(label ?? ''),
  printable(subject ?? ''),
  String(tokens.live),
  String(tokens.total),
  printable(shownTime(blocks[0]?.since ?? null)),
  printable(blocks.flatMap(({ reason }) => reason ?? []).join('; ')),
  printable(issuer ?? ''),
];

/** The largest page of subjects. */
const SUBJECTS_PAGE_MAX = 100;

const subjects = defineCommand({
  words: 'subjects',
  about: 'Shows who owns tokens, and who is blocked.',
  usage: '[--blocked | --not-blocked] [--q BEGINNING] [--limit 50]',
  options: { blocked: flag, 'not-blocked': flag, q: text, limit: text },
  role: 'auditor',
  permission: 'audit:read',
  prepare: ({ values }) => {
    chooseOne(values, 'blocked', 'not-blocked');
    const blocked = values.blocked || values['not-blocked'] ? { blocked: values.blocked } : {};
    const limit = limited(values.limit, SUBJECTS_PAGE_MAX);
    return async (client, output) => {
      const query = { ...blocked, q: values.q, limit: limit.pageSize };
      await output.table(SUBJECT_COLUMNS, await limit.take(client.subjects.each(query), output), subjectLine);
    };
  },
});

const DELIVERY_COLUMNS = [
  { title: 'RECEIVED', least: 20, usual: 20, yields: 0, cut: 'end' },
  { title: 'ID', least: 8, usual: 36, yields: 1, cut: 'end' },
  { title: 'SOURCE', least: 6, usual: 12, yields: 2, cut: 'end' },
  { title: 'EVENT', least: 8, usual: 20, yields: 3, cut: 'end' },
  { title: 'OPEN', least: 4, usual: 5, yields: 0, cut: 'end' },
  { title: 'DONE', least: 4, usual: 5, yields: 0, cut: 'end' },
  { title: 'FAILED', least: 6, usual: 6, yields: 0, cut: 'end' },
] as const satisfies readonly Column[];

const deliveryLine = ({ received_at, id, source, event, ignored, refused, orders }: Delivery): readonly string[] =>
  [
    shownTime(received_at),
    id,
    source ?? '',
    refused ?? ignored ?? event ?? '',
    String(orders.open),
    String(orders.acknowledged + orders.confirmed),
    String(orders.failed),
  ].map(printable);

async function showReceipt(receipt: WholeDelivery, output: Output): Promise<void> {
  await output.facts(receipt, () => receiptFacts(receipt));
}

function receiptFacts(receipt: WholeDelivery): Facts {
  const { id, received_at, event_id, reason, blocks_lifted, still_blocked } = receipt;
  const { orders, orders_left, owners = [], revocations } = receipt;
  const counted = `${orders.open} open, ${orders.acknowledged} acknowledged, ${orders.confirmed} confirmed, ${orders.failed} failed`;
  return [
    ['ID', printable(id)],
    ['RECEIVED', printable(received_at)],
    ['EVENT', printable(event_id)],
    ...(reason === undefined ? [] : [['REASON', printable(reason)] as const]),
    ...(blocks_lifted === undefined ? [] : [['LIFTED', `${blocks_lifted} blocks`] as const]),
    ...(still_blocked === true ? [['STILL BLOCKED', 'in another way'] as const] : []),
    ['ORDERS', orders_left === true ? `${counted}; more are still to be made` : counted],
    ...owners.map(({ issuer, subject, tokens }): [string, string] => [
      'OWNER',
      printable(`${issuer}|${subject}, ${tokens} tokens`),
    ]),
    ...revocations.map(({ token_id, state, result, error_code }): [string, string] => [
      'TOKEN',
      printable([token_id, state, result, error_code].filter((word) => word !== null).join(' ')),
    ]),
  ];
}

const listDeliveries = defineCommand({
  words: 'deliveries list',
  about: 'Lists the deliveries of webhooks, newest first.',
  usage: '[--limit 50]',
  options: { limit: text },
  role: 'auditor',
  permission: 'audit:read',
  prepare: ({ values }) => {
    const limit = limited(values.limit);
    return async (client, output) => {
      const items = client.deliveries.each({ limit: limit.pageSize });
      await output.table(DELIVERY_COLUMNS, await limit.take(items, output), deliveryLine);
    };
  },
});

const getDelivery = defineCommand({
  words: 'deliveries get',
  about: 'Shows what became of a delivery, token by token.',
  usage: 'ID',
  options: {},
  operands: ['ID'],
  role: 'auditor',
  permission: 'audit:read',
  prepare:
    ({ operands: [id = ''] }) =>
    async (client, output) =>
      await showReceipt(await client.deliveries.get(id), output),
});

const retryDelivery = defineCommand({
  words: 'deliveries retry',
  about: 'Tries again what is left of a delivery.',
  usage: 'ID',
  options: {},
  operands: ['ID'],
  role: 'admin',
  permission: "tokens:revoke in a role with tokens: 'any'",
  prepare:
    ({ operands: [id = ''] }) =>
    async (client, output) => {
      const answer = await client.deliveries.retry(id);
      await output.facts(answer, () => [['RETRIED', String(answer.retried)]]);
    },
});

export const INCIDENT_COMMANDS: readonly Command[] = [
  revoke,
  revocation,
  reinstate,
  subjects,
  listDeliveries,
  getDelivery,
  retryDelivery,
];
