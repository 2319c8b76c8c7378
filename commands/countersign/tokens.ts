import { CountersignError } from '../../package/client/failure.ts';
import type { Client, CreateOptions } from '../../package/client/client.ts';
import type { CreateToken } from '../../package/client/requests.ts';
import type { CreatedToken, Token } from '../../package/client/types.ts';
import { UserError } from '../../local/errors.ts';
import { cellsOf, EVENT_COLUMNS } from '../audit/table.ts';
import type { Column } from '../columns.ts';
import { writeOutFile } from '../out-file.ts';
import { printable, printableJson } from '../terminal-text.ts';
import { UsageError } from '../usage.ts';
import { type Command, defineCommand, flag, text, texts } from './command.ts';
import { limited } from './limited.ts';
import type { Facts, Output } from './result.ts';

const TOKEN_COLUMNS = [
  { title: 'ID', least: 8, usual: 36, yields: 1, cut: 'end' },
  { title: 'NAME', least: 8, usual: 24, yields: 2, cut: 'end' },
  { title: 'STATE', least: 9, usual: 9, yields: 0, cut: 'end' },
  { title: 'EXPIRES', least: 10, usual: 20, yields: 3, cut: 'end' },
  { title: 'SCOPES', least: 8, usual: 24, yields: 4, cut: 'end' },
  { title: 'PREFIX', least: 8, usual: 11, yields: 5, cut: 'end', room: 1 },
  { title: 'CREATED', least: 10, usual: 20, yields: 6, cut: 'end', room: 2 },
  { title: 'WORKSPACE', least: 9, usual: 36, yields: 7, cut: 'end', room: 3 },
] as const satisfies readonly Column[];

const lineOf = (token: Token): readonly string[] =>
  [
    token.id,
    token.name,
    stateOf(token),
    timeOf(token.expires_at) || 'never',
    token.scopes.join(' '),
    token.token_prefix ?? '',
    timeOf(token.created_at),
    token.workspace_id ?? '',
  ].map(printable);

const timeOf = (time: string | null): string => (time ?? '').replace('T', ' ').replace(/\.\d+Z$/, 'Z');

const stateOf = ({ is_revoked, is_expired, is_active }: Token): string =>
  is_revoked ? 'revoked' : is_expired ? 'expired' : is_active ? 'active' : 'suspended';

const factsOf = (token: Token): Facts => {
  const cells = lineOf(token);
  const facts = TOKEN_COLUMNS.map(({ title }, index) => [title, cells[index] ?? ''] as const);
  return token.description === null ? facts : [...facts, ['DESCRIPTION', printable(token.description)]];
};

const WORKSPACE = { workspace: text } as const;
const inWorkspace = (workspace: string | undefined) => (workspace === undefined ? {} : { workspace_uuid: workspace });

const list = defineCommand({
  words: 'tokens list',
  about: 'Lists the tokens that you may see.',
  usage: '[--workspace UUID] [--fresh]',
  options: { ...WORKSPACE, fresh: flag },
  role: 'admin',
  permission: 'tokens:read',
  prepare:
    ({ values }) =>
    async (client, output) => {
      const { tokens, partial } = await client.tokens.list({ ...inWorkspace(values.workspace), fresh: values.fresh });
      await output.table(TOKEN_COLUMNS, tokens, lineOf);
      if (tokens.length === 0) output.notice('There are none that you may see.');
      if (partial) output.notice('PipeOps told of a part alone: a token that is not listed may exist.');
    },
});

const get = defineCommand({
  words: 'tokens get',
  about: 'Shows one token.',
  usage: 'ID [--workspace UUID] [--fresh]',
  options: { ...WORKSPACE, fresh: flag },
  operands: ['ID'],
  role: 'admin',
  permission: 'tokens:read',
  prepare:
    ({ values, operands: [id = ''] }) =>
    async (client, output) => {
      const token = await client.tokens.get(id, { ...inWorkspace(values.workspace), fresh: values.fresh });
      await output.facts(token, () => factsOf(token));
    },
});

const create = defineCommand({
  words: 'tokens create',
  about: `Mints a token, and prints its secret this once.
With --out the secret goes to that file alone; with --json beside it, the whole answer does.
--idempotency-key KEY makes a repeat within an hour give the same token again, with its secret. Default: a key of its own.`,
  usage: `--name NAME (--scope SCOPE… | --preset NAME) [--expires-in 30d | --expires-at TIME]
       [--description TEXT] [--workspace UUID] [--idempotency-key KEY]`,
  options: {
    ...WORKSPACE,
    name: text,
    scope: texts,
    preset: text,
    'expires-in': text,
    'expires-at': text,
    description: text,
    'idempotency-key': text,
  },
  role: 'admin',
  permission: 'tokens:create',
  hasOwnOut: true,
  prepare: ({ values, host }) => {
    const { name, scope, preset, description, out, force, json } = values;
    if (name === undefined) throw new UsageError('tokens create needs --name NAME.');
    if ((scope === undefined) === (preset === undefined)) {
      throw new UsageError('tokens create needs --scope SCOPE, once or more often, or --preset NAME.');
    }
    if (values['expires-in'] !== undefined && values['expires-at'] !== undefined) {
      throw new UsageError('--expires-in and --expires-at: choose one.');
    }
    const expiry =
      values['expires-at'] === undefined ? { expires_in: values['expires-in'] } : { expires_at: values['expires-at'] };
    const token: CreateToken = {
      name,
      description,
      ...(preset === undefined ? { scopes: scope ?? [] } : { preset }),
      ...inWorkspace(values.workspace),
      ...expiry,
    };
    const key = values['idempotency-key'] ?? crypto.randomUUID();
    return async (client, output) => {
      if (out === undefined) {
        await showCreated(await mint(client, token, { idempotencyKey: key }), output);
        return;
      }
      let created: CreatedToken | null = null;
      // The file is there before the token is: what cannot be kept is not minted.
      await writeOutFile(host.pathOf(out), force, async (write) => {
        created = await mint(client, token, { idempotencyKey: key });
        await write(`${json ? printableJson(created) : created.token}\n`);
      }).catch((error: unknown) => {
        if (created === null || !(error instanceof UserError)) throw error;
        throw new UserError(
          `${error.message} Token ${printable(created.id)} was minted, and its secret is nowhere. ${repeatLine(key)}`,
        );
      });
      if (created === null) return;
      const { token: _secret, ...shown }: CreatedToken = created;
      await output.facts(shown, () => factsOf(shown));
      output.notice(`The secret is in ${printable(out)}.`);
    };
  },
});

/** Mints a token. Where it is not known what became of it, the message says how to ask again. */
async function mint(client: Client, token: CreateToken, options: CreateOptions & { readonly idempotencyKey: string }) {
  try {
    return await client.tokens.create(token, options);
  } catch (error) {
    if (!(error instanceof CountersignError) || !MAY_HAVE_MINTED.includes(error.code)) throw error;
    const { failure } = error;
    const message = `${failure.message.replace(/[\s.]*$/, '')}. ${repeatLine(options.idempotencyKey)}`;
    throw new CountersignError({ ...failure, message }, { cause: error.cause, idempotencyKey: error.idempotencyKey });
  }
}

const MAY_HAVE_MINTED: readonly CountersignError['code'][] = [
  'client_unreachable',
  'client_deadline',
  'client_aborted',
  'client_unexpected_answer',
  'audit_unavailable',
  'internal_error',
  'outcome_unknown',
  'upstream_timeout',
  'idempotency_in_flight',
];

const repeatLine = (key: string): string =>
  `The same command with --idempotency-key ${key} asks again within the hour, and mints no second token.`;

async function showCreated(token: CreatedToken, output: Output): Promise<void> {
  const { token: secret, ...shown } = token;
  await output.facts(token, () => [...factsOf(shown), ['SECRET', printable(secret)]]);
}

const update = defineCommand({
  words: 'tokens update',
  about: 'Changes, suspends or resumes a token.',
  usage: 'ID [--name NAME] [--description TEXT] [--scope SCOPE…] [--suspend | --resume] [--workspace UUID]',
  options: { ...WORKSPACE, name: text, description: text, scope: texts, suspend: flag, resume: flag },
  operands: ['ID'],
  role: 'admin',
  permission: 'tokens:update',
  prepare: ({ values, operands: [id = ''] }) => {
    const { name, description, scope: scopes, suspend, resume } = values;
    if (suspend && resume) throw new UsageError('--suspend and --resume: choose one.');
    const changes = {
      name,
      description,
      scopes,
      ...((suspend || resume) && { is_active: resume }),
    };
    if (Object.values(changes).every((value) => value === undefined)) {
      throw new UsageError('tokens update needs something that changes, such as --name NAME or --suspend.');
    }
    return async (client, output) => {
      const token = await client.tokens.update(id, { ...changes, ...inWorkspace(values.workspace) });
      await output.facts(token, () => factsOf(token));
    };
  },
});

const revoke = defineCommand({
  words: 'tokens revoke',
  about: 'Revokes a token for good, and says so once PipeOps has acknowledged it.',
  usage: 'ID [--workspace UUID]',
  options: WORKSPACE,
  operands: ['ID'],
  role: 'admin',
  permission: 'tokens:revoke',
  prepare:
    ({ values, operands: [id = ''] }) =>
    async (client, output) => {
      const revoked = await client.tokens.revoke(id, inWorkspace(values.workspace));
      await output.facts(revoked, () => [['REVOKED', printable(revoked.id)]]);
    },
});

const events = defineCommand({
  words: 'tokens events',
  about: 'Shows the life of a token, newest first: what the trail has about it.',
  usage: 'ID [--workspace UUID] [--limit 50]',
  options: { ...WORKSPACE, limit: text },
  operands: ['ID'],
  role: 'admin',
  permission: 'tokens:read',
  prepare: ({ values, operands: [id = ''] }) => {
    const limit = limited(values.limit);
    return async (client, output) => {
      const query = { ...inWorkspace(values.workspace), limit: limit.pageSize };
      await output.table(EVENT_COLUMNS, await limit.take(client.tokens.eachEvent(id, query), output), cellsOf);
    };
  },
});

export const TOKEN_COMMANDS: readonly Command[] = [list, get, create, update, revoke, events];
