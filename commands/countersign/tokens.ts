import type { Token } from '../../package/client/types.ts';
import { cellsOf, EVENT_COLUMNS } from '../audit/table.ts';
import type { Column } from '../columns.ts';
import { printable, shownTime } from '../terminal-text.ts';
import { chooseOne, flag, text, texts, UsageError } from '../usage.ts';
import { inWorkspace, limited, WORKSPACE } from './arguments.ts';
import { type Command, defineCommand } from './command.ts';
import type { Facts } from './result.ts';

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
    shownTime(token.expires_at) || 'never',
    token.scopes.join(' '),
    token.token_prefix ?? '',
    shownTime(token.created_at),
    token.workspace_id ?? '',
  ].map(printable);

const stateOf = ({ is_revoked, is_expired, is_active }: Token): string =>
  is_revoked ? 'revoked' : is_expired ? 'expired' : is_active ? 'active' : 'suspended';

/** The facts of a token, without its secret. */
export const factsOf = (token: Token): Facts => {
  const cells = lineOf(token);
  const facts = TOKEN_COLUMNS.map(({ title }, index) => [title, cells[index] ?? ''] as const);
  return token.description === null ? facts : [...facts, ['DESCRIPTION', printable(token.description)]];
};

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
    chooseOne(values, 'suspend', 'resume');
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

export const TOKEN_COMMANDS: readonly Command[] = [list, get, update, revoke, events];
