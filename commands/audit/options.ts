import type { AuditFilter, CountQuery } from '../../package/client/requests.ts';
import { CONNECTION_OPTIONS, CONNECTION_USAGE, type ConnectionOptions } from '../countersign/connection.ts';
import { timeBound } from '../time-bound.ts';
import { chooseOne, flag, parseOptions, text, UsageError } from '../usage.ts';

/** Each filter's flag, and the API's name of it. */
const FILTERS = [
  ['action', 'action'],
  ['status', 'status'],
  ['actor', 'actor'],
  ['actor-type', 'actor_type'],
  ['token-id', 'token_id'],
  ['token-name', 'token_name'],
  ['token-prefix', 'token_prefix'],
  ['workspace', 'workspace_uuid'],
  ['scope', 'scope'],
  ['code', 'code'],
  ['role', 'role'],
  ['policy-version', 'policy_version'],
  ['request-id', 'request_id'],
  ['ip', 'ip'],
] as const;

const COUNTED_BY = ['action', 'actor', 'code', 'status', 'day', 'hour'] as const satisfies readonly CountQuery['by'][];

const LIMIT_DEFAULT = 50;
/** Larger results are for an export. */
const LIMIT_MAX = 10_000;
/** A follower begins with a screenful of events, not with the whole trail. */
const FOLLOW_LIMIT_DEFAULT = 10;
/** One less than a page of the API: a follower asks for one event more, to place its cursor. */
const FOLLOW_LIMIT_MAX = 199;

/** @param call how a user calls this command, such as `countersign audit`. */
export const usageOf = (call: string): string => {
  const indent = ' '.repeat('usage: '.length);
  return `usage: ${call} [filters] [--limit ${LIMIT_DEFAULT}] [--order desc|asc] [--latest] [--out FILE [--force]]
${indent}${call} [filters] --count-by ${COUNTED_BY.join('|')}
${indent}${call} counts --by ${COUNTED_BY.join('|')} [filters]
${indent}${call} [filters] --follow [--cursor-file FILE [--out FILE]]
${indent}${call} [filters] --export ndjson|csv [--out FILE [--force]]
filters: ${FILTERS.slice(0, 8)
    .map(([name]) => `--${name}`)
    .join(' ')}
         ${FILTERS.slice(8)
           .map(([name]) => `--${name}`)
           .join(' ')} --since --to
where:   --action takes a list such as 'service_account_token.*,webhook.receive'; with ! in front all but that: '!audit.*'
         --since (or --from) and --to take a time such as 2026-11-24T10:00:00Z, a day of UTC such as 2026-11-24, or how
         long ago: 7d, 12h, 30m
         --json writes a line of JSON for each event, --table a table. Default: a table on a terminal, else JSON
         --cursor-file FILE keeps the place: the next --follow with the same filters goes on there
${CONNECTION_USAGE}`;
};

export type AuditOptions =
  | { readonly mode: 'help' }
  | (AuditMode & {
      readonly connection: ConnectionOptions;
      /** The filters, and `latest`, as the API takes them. Nobody has checked them. */
      readonly filter: AuditFilter;
      readonly json: boolean;
      readonly table: boolean;
    });

export type AuditMode =
  | ({ readonly mode: 'show'; readonly limit: number; readonly order: 'asc' | 'desc' } & OutOption)
  | ({ readonly mode: 'count'; readonly by: CountQuery['by'] } & OutOption)
  | ({ readonly mode: 'follow'; readonly limit: number; readonly cursorFile: string | null } & OutOption)
  | ({ readonly mode: 'export'; readonly format: 'ndjson' | 'csv' } & OutOption);

interface OutOption {
  readonly out: string | null;
  /** Whether a file of that name may be replaced. */
  readonly isReplacing: boolean;
}

const OPTIONS = {
  action: text,
  status: text,
  actor: text,
  'actor-type': text,
  'token-id': text,
  'token-name': text,
  'token-prefix': text,
  workspace: text,
  scope: text,
  code: text,
  role: text,
  'policy-version': text,
  'request-id': text,
  ip: text,
  from: text,
  since: text,
  to: text,
  limit: text,
  order: text,
  latest: flag,
  json: flag,
  table: flag,
  follow: flag,
  by: text,
  'count-by': text,
  export: text,
  out: text,
  force: flag,
  'cursor-file': text,
  ...CONNECTION_OPTIONS,
  help: { ...flag, short: 'h' },
} as const;

/**
 * Reads the arguments of `countersign audit`. Apart from days and durations, it leaves the values of filters to the service, which says
 * what is wrong with them.
 *
 * @param call how a user calls this command.
 * @throws UsageError if an argument is wrong, or two do not go together.
 */
export function readOptions(args: readonly string[], now: Date, call = 'countersign audit'): AuditOptions {
  const { values, positionals } = parseOptions(args, OPTIONS, `${call} --help`);
  if (values.help) return { mode: 'help' };
  const [word, ...rest] = positionals;
  if (rest.length > 0 || (word !== undefined && word !== 'counts')) {
    throw new UsageError(`Unexpected argument: filters have names, such as --actor NAME. Help: ${call} --help`);
  }
  chooseOne(values, 'json', 'table');
  const { json, table } = values;
  return { connection: values, filter: filterOf(values, now), json, table, ...modeOf(values, word === 'counts') };
}

type Values = ReturnType<typeof parseOptions<typeof OPTIONS>>['values'];

function filterOf(values: Values, now: Date): AuditFilter {
  const filter: Record<string, string> = {};
  for (const [name, parameter] of FILTERS) {
    const value = values[name];
    if (value !== undefined) filter[parameter] = value;
  }
  if (values.from !== undefined && values.since !== undefined) {
    throw new UsageError('--since and --from are the same: choose one.');
  }
  const name = values.since === undefined ? 'from' : 'since';
  const from = values[name];
  if (from !== undefined) filter['from'] = timeBound(name, from, now);
  if (values.to !== undefined) filter['to'] = timeBound('to', values.to, now);
  if (values.latest) filter['latest'] = 'true';
  // The service checks the values, and says what is wrong with them.
  return filter;
}

type Named =
  | 'limit'
  | 'order'
  | 'json'
  | 'table'
  | 'follow'
  | 'out'
  | 'force'
  | 'cursor-file'
  | 'latest'
  | 'count-by'
  | 'export';

function modeOf(values: Values, isCounts: boolean): AuditMode {
  const refuse = (names: readonly Named[], reason: string): void => {
    const name = names.find((one) => values[one] !== undefined && values[one] !== false);
    if (name !== undefined) throw new UsageError(`--${name} ${reason}`);
  };
  const out = outOf(values);
  if (isCounts || values['count-by'] !== undefined) {
    refuse(['limit', 'order', 'latest', 'follow', 'export', 'cursor-file'], 'does not go with counts.');
    if (isCounts) refuse(['count-by'], 'is --by of counts.');
    const by = COUNTED_BY.find((known) => known === (isCounts ? values.by : values['count-by']));
    if (by === undefined) throw new UsageError(`${isCounts ? '--by' : '--count-by'} takes ${COUNTED_BY.join(', ')}.`);
    return { mode: 'count', by, ...out };
  }
  if (values.by !== undefined) throw new UsageError('--by goes with counts: audit counts --by actor.');
  if (values.export !== undefined) {
    const why = 'does not go with --export, which gives all that matches, oldest first, in its own format.';
    refuse(['limit', 'order', 'json', 'table', 'follow', 'cursor-file'], why);
    const format = values.export;
    if (format !== 'ndjson' && format !== 'csv') throw new UsageError('--export takes ndjson or csv.');
    return { mode: 'export', format, ...out };
  }
  if (values.follow) {
    refuse(['order'], 'does not go with --follow, which shows events as they come.');
    const cursorFile = values['cursor-file'] || null;
    if (out.out !== null && cursorFile === null) {
      throw new UsageError(
        '--out goes with --follow where --cursor-file keeps the place in the trail and in that file.',
      );
    }
    const limit = limitOf(values.limit, FOLLOW_LIMIT_DEFAULT, FOLLOW_LIMIT_MAX, 'To begin earlier, use --since.');
    return { mode: 'follow', limit, cursorFile, ...out };
  }
  refuse(['cursor-file'], 'goes with --follow alone.');
  const order = values.order ?? 'desc';
  if (order !== 'asc' && order !== 'desc') throw new UsageError('--order takes asc or desc.');
  const limit = limitOf(values.limit, LIMIT_DEFAULT, LIMIT_MAX, 'For more, use --export.');
  return { mode: 'show', limit, order, ...out };
}

function outOf({ out, force, table }: Values): OutOption {
  checkOut(out, force);
  if (out !== undefined && table) throw new UsageError('--table does not go with --out, which takes JSON.');
  return { out: out ?? null, isReplacing: force };
}

/** @throws UsageError if `--out` names no file, or `--force` none at all. */
export function checkOut(out: string | undefined, force: boolean): void {
  if (out !== undefined && /(^|\/|\/\.|^\.)$/.test(out)) throw new UsageError('--out names a file, not a folder.');
  if (force && out === undefined) throw new UsageError('--force goes with --out FILE.');
}

function limitOf(limit: string | undefined, fallback: number, most: number, advice: string): number {
  if (limit === undefined) return fallback;
  const events = /^\d{1,5}$/.test(limit) ? Number(limit) : 0;
  if (events >= 1 && events <= most) return events;
  throw new UsageError(`--limit takes a whole number from 1 to ${most}. ${advice}`);
}
