import { UserError } from '../../local/errors.ts';
import { CountersignError } from '../../package/client/failure.ts';
import type { CreateToken, RotateToken } from '../../package/client/requests.ts';
import type { CreatedToken, RotatedToken } from '../../package/client/types.ts';
import { writeOutFile } from '../out-file.ts';
import { printable, printableJson, shownTime } from '../terminal-text.ts';
import { chooseOne, text, texts, UsageError } from '../usage.ts';
import { inWorkspace, WORKSPACE } from './arguments.ts';
import { type Command, defineCommand } from './command.ts';
import type { Host } from './host.ts';
import type { Facts, Output } from './result.ts';
import { factsOf } from './tokens.ts';

// The commands that mint a token, and so are given a secret.

const EXPIRY = { 'expires-in': text, 'expires-at': text } as const;

interface Expiry {
  readonly 'expires-in'?: string | undefined;
  readonly 'expires-at'?: string | undefined;
}

/** @throws UsageError */
function expiryOf(values: Expiry) {
  chooseOne({ ...values }, 'expires-in', 'expires-at');
  const { 'expires-in': expiresIn, 'expires-at': expiresAt } = values;
  return expiresAt === undefined ? { expires_in: expiresIn } : { expires_at: expiresAt };
}

const create = defineCommand({
  words: 'tokens create',
  about: `Mints a token, and prints its secret this once.
With --out the secret goes to that file alone; with --json beside it, the whole answer does.
--idempotency-key KEY makes a repeat within an hour give the same token again, with its secret. Default: a key of its own.`,
  usage: `--name NAME (--scope SCOPE… | --preset NAME) [--expires-in 30d | --expires-at TIME]
       [--description TEXT] [--workspace UUID] [--idempotency-key KEY]`,
  options: {
    ...WORKSPACE,
    ...EXPIRY,
    name: text,
    scope: texts,
    preset: text,
    description: text,
    'idempotency-key': text,
  },
  role: 'admin',
  permission: 'tokens:create',
  hasOwnOut: true,
  prepare: ({ values, host }) => {
    const { name, scope, preset, description } = values;
    if (name === undefined) throw new UsageError('tokens create needs --name NAME.');
    if ((scope === undefined) === (preset === undefined)) {
      throw new UsageError('tokens create needs --scope SCOPE, once or more often, or --preset NAME.');
    }
    const token: CreateToken = {
      name,
      description,
      ...(preset === undefined ? { scopes: scope ?? [] } : { preset }),
      ...inWorkspace(values.workspace),
      ...expiryOf(values),
    };
    const place = placeOf(values, host, 'asks again within the hour, and mints no second token.');
    return async (client, output) => {
      const mint = async () => await client.tokens.create(token, { idempotencyKey: place.key });
      await handOut(mint, factsOf, place, output);
    };
  },
});

const rotate = defineCommand({
  words: 'tokens rotate',
  about: `Mints a token in the place of one of yours, and prints its secret this once.
It has the name and the scopes that the old one was granted, as far as the policy still allows them.
The old one lives for the overlap, 24h unless you say otherwise, and is then revoked. --overlap 0s is for a secret that has leaked: it is revoked at once.
Without --expires-in and --expires-at the new one lives as long as the old one was to live.
With --out the secret goes to that file alone; with --json beside it, the whole answer does.
--idempotency-key KEY makes a repeat give the same token again while the old one lives, for an hour at least. Default: a key of its own.`,
  usage: `ID [--overlap 24h] [--expires-in 30d | --expires-at TIME] [--workspace UUID]
       [--idempotency-key KEY]`,
  options: { ...WORKSPACE, ...EXPIRY, overlap: text, 'idempotency-key': text },
  operands: ['ID'],
  role: 'admin',
  permission: 'tokens:rotate',
  hasOwnOut: true,
  prepare: ({ values, operands: [id = ''], host }) => {
    const rotation: RotateToken = {
      overlap: values.overlap,
      ...inWorkspace(values.workspace),
      ...expiryOf(values),
    };
    const place = placeOf(values, host, 'asks again, and mints no second token.');
    return async (client, output) => {
      const mint = async () => await client.tokens.rotate(id, rotation, { idempotencyKey: place.key });
      const { old_token_revoked_at: endsAt } = await handOut(mint, rotationFacts, place, output);
      output.notice(
        // The clock of this machine may be behind.
        values.overlap === '0s' || Date.parse(endsAt) <= Date.now()
          ? `Token ${printable(id)} is being revoked now.`
          : `Token ${printable(id)} works until ${printable(shownTime(endsAt))}, and is then revoked.`,
      );
    };
  },
});

const rotationFacts = (token: Omit<RotatedToken, 'token'>): Facts => [
  ...factsOf(token),
  ['REPLACES', printable(token.replaces)],
  ['OLD TOKEN ENDS', printable(shownTime(token.old_token_revoked_at))],
];

/** Where a secret goes, and how it is asked for again. */
interface Place {
  /** A file of its owner alone. Null: standard output. */
  readonly file: { readonly named: string; readonly path: string; readonly isReplacing: boolean } | null;
  /** Whether the whole answer goes there. */
  readonly isWhole: boolean;
  readonly key: string;
  /** Says how to ask again where it is not known what became of the request. */
  readonly repeatLine: string;
}

interface PlaceOptions {
  readonly out?: string | undefined;
  readonly force: boolean;
  readonly json: boolean;
  readonly 'idempotency-key'?: string | undefined;
}

function placeOf({ out, force, json, 'idempotency-key': given }: PlaceOptions, host: Host, promise: string): Place {
  const key = given ?? crypto.randomUUID();
  return {
    file: out === undefined ? null : { named: out, path: host.pathOf(out), isReplacing: force },
    isWhole: json,
    key,
    repeatLine: `The same command with --idempotency-key ${key} ${promise}`,
  };
}

/**
 * Mints a token and hands its secret out once.
 *
 * @returns the answer.
 * @throws UserError that says that the secret is nowhere, if it could not be kept.
 */
async function handOut<Answer extends CreatedToken>(
  send: () => Promise<Answer>,
  shownFacts: (token: Answer) => Facts,
  { file, isWhole, repeatLine }: Place,
  output: Output,
): Promise<Answer> {
  const mint = async (): Promise<Answer> => await sayingHowToRepeat(send, repeatLine);
  if (file === null) {
    const token = await mint();
    await output.facts(token, () => [...shownFacts(token), ['SECRET', printable(token.token)]]);
    return token;
  }
  let minted: Answer | null = null;
  // The file is there before the token is: what cannot be kept is not minted.
  await writeOutFile(file.path, file.isReplacing, async (write) => {
    minted = await mint();
    await write(`${isWhole ? printableJson(minted) : minted.token}\n`);
  }).catch((error: unknown) => {
    if (minted === null || !(error instanceof UserError)) throw error;
    throw new UserError(
      `${error.message} Token ${printable(minted.id)} was minted, and its secret is nowhere. ${repeatLine}`,
    );
  });
  // What fills the file sets it; to the compiler a callback may not have run.
  const token = minted as Answer | null;
  if (token === null) throw new Error('a file was written without a token');
  const { token: _secret, ...shown } = token;
  await output.facts(shown, () => shownFacts(token));
  output.notice(`The secret is in ${printable(file.named)}.`);
  return token;
}

/** Where it is not known what became of a request, the message says how to ask again. */
async function sayingHowToRepeat<T>(send: () => Promise<T>, repeatLine: string): Promise<T> {
  try {
    return await send();
  } catch (error) {
    if (!(error instanceof CountersignError) || !MAY_HAVE_MINTED.includes(error.code)) throw error;
    const { failure } = error;
    const message = `${failure.message.replace(/[\s.]*$/, '')}. ${repeatLine}`;
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

export const MINT_COMMANDS: readonly Command[] = [create, rotate];
