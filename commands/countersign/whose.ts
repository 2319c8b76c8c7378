import { text as textOf } from 'node:stream/consumers';
import type { InventoryToken } from '../../package/client/types.ts';
import { sha256Hex } from '../../src/kit/digest.ts';
import { askSecret } from '../ask-secret.ts';
import { printable, shownTime } from '../terminal-text.ts';
import { chooseOne, NothingFound, text, UsageError } from '../usage.ts';
import { defineCommand } from './command.ts';
import { lackOf } from './inventory.ts';
import type { Facts } from './result.ts';

/** The form of a secret, and nothing around it: the digest of anything else would find nobody. */
const SECRET = /^sat_[A-Za-z0-9_+/=.~-]{12,}$/;
const NO_SECRET = 'is no secret of a PipeOps token and nothing else: sat_ and what follows it';

export const whose = defineCommand({
  words: 'tokens whose',
  about: `Says whose token a secret is, such as one that was found in a log.
The secret is read from standard input, or at a terminal without showing it. It stays on this machine: the service is asked for its SHA-256.
--sha256 HEX asks for a SHA-256 that you have already.
It ends with 3 where no token that you may see has that secret.`,
  usage: '--token - | --sha256 HEX',
  options: { token: text, sha256: text },
  role: 'admin',
  permission: 'tokens:read',
  prepare: ({ values, host }) => {
    chooseOne(values, 'token', 'sha256');
    const { token = '-', sha256 } = values;
    // The message does not quote it: it may be the secret.
    if (token !== '-') {
      throw new UsageError('--token takes - alone: it is read from standard input, since others can read arguments.');
    }
    if (sha256 !== undefined && !/^[0-9a-f]{64}$/i.test(sha256)) {
      throw new UsageError('--sha256 takes the 64 hex digits of a SHA-256.');
    }
    return async (client, output) => {
      const digest = sha256?.toLowerCase() ?? (await sha256Hex(await readSecret()));
      const { items, knowledge } = await client.inventory.list({ token_sha256: digest });
      const [found] = items;
      if (found === undefined) {
        throw new NothingFound(
          'No token that you may see has this secret. It may be somebody else’s, or be made past this service.',
        );
      }
      await output.facts(found, () => factsOf(found));
      if (['active', 'suspended', 'retiring'].includes(found.state)) {
        const call = host.call(`tokens revoke ${found.id} --workspace ${found.workspace_uuid}`);
        output.notice(`It is ${found.state}. If the secret is where it should not be: ${printable(call)}`);
      }
      for (const problem of knowledge.flatMap(lackOf)) output.notice(problem);
    };
  },
});

/** @throws UsageError if what was read is no secret. The message does not quote it. */
async function readSecret(): Promise<string> {
  if (process.stdin.isTTY) {
    const problemOf = (value: string): string | null => (SECRET.test(value) ? null : NO_SECRET);
    const terminal = { input: process.stdin, output: process.stderr };
    return await askSecret('The secret; what you type is not shown: ', problemOf, terminal, 'Nothing was asked.');
  }
  const secret = (await textOf(process.stdin)).trim();
  if (!SECRET.test(secret)) throw new UsageError(`What standard input holds ${NO_SECRET}.`);
  return secret;
}

const factsOf = (token: InventoryToken): Facts =>
  Object.entries({
    ID: token.id,
    NAME: token.name,
    OWNER: token.owner === null ? 'nobody: it was made past this service' : ownerOf(token.owner),
    STATE: [token.state, ...token.suspended_by].join(' '),
    WORKSPACE: token.workspace_uuid,
    PREFIX: token.token_prefix,
    SCOPES: token.scopes?.join(' ') ?? null,
    ROLE: token.role,
    CREATED: shownTime(token.created_at),
    EXPIRES: shownTime(token.expires_at) || 'never',
    'LAST USED': shownTime(token.last_used_at) || token.usage,
    REPLACES: token.replaces,
    'REPLACED BY': token.replaced_by,
    RETIRES: token.retires_at === null ? null : shownTime(token.retires_at),
  }).flatMap(([name, value]) => (value === null ? [] : [[name, printable(value)] as const]));

const ownerOf = ({ issuer, subject, label }: NonNullable<InventoryToken['owner']>): string =>
  label === null ? `${issuer}|${subject ?? ''}` : `${label} (${issuer}|${subject ?? ''})`;
