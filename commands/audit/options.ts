import { parseArgs } from 'node:util';
import * as z from 'zod';
import { UserError } from '../../local/errors.ts';
import { durationSeconds, SECONDS_PER_DAY } from '../../src/kit/time.ts';

/** Each filter's flag, and the API's name of it. */
const FILTERS = [
  ['action', 'action'],
  ['status', 'status'],
  ['actor', 'actor'],
  ['actor-type', 'actor_type'],
  ['token-id', 'token_id'],
  ['workspace', 'workspace_uuid'],
  ['request-id', 'request_id'],
  ['ip', 'ip'],
  ['from', 'from'],
  ['to', 'to'],
] as const;

const LIMIT_DEFAULT = 50;
/** Larger results are for an export. */
const LIMIT_MAX = 10_000;
/** A follower begins with a screenful of events, not with the whole trail. */
const FOLLOW_LIMIT_DEFAULT = 10;
/** One less than a page of the API: a follower asks for one event more, to place its cursor. */
const FOLLOW_LIMIT_MAX = 199;

export const USAGE = `usage: npm run -s audit -- [filters] [--limit 50] [--order desc|asc] [--latest] [--json]
       npm run -s audit -- [filters] --follow [--json] [--cursor-file FILE]
       npm run -s audit -- [filters] --export ndjson|csv [--out FILE [--force]]
filters: ${FILTERS.map(([name]) => `--${name}`).join(' ')}
where:   --from and --to take a time such as 2026-11-24T10:00:00Z, a day of UTC such as 2026-11-24, or how long ago: 7d, 12h, 30m
         --cursor-file FILE keeps the place: the next --follow with the same filters goes on there
         --url URL (or COUNTERSIGN_URL); the JWT from COUNTERSIGN_JWT or --jwt-file FILE`;

export type AuditOptions = {
  readonly url: string | null;
  readonly jwtFile: string | null;
  /** The filters, and `latest`, as the API takes them. */
  readonly parameters: Readonly<Record<string, string>>;
} & AuditMode;

export type AuditMode =
  | { readonly mode: 'help' }
  | { readonly mode: 'show'; readonly limit: number; readonly order: 'asc' | 'desc'; readonly json: boolean }
  | { readonly mode: 'follow'; readonly limit: number; readonly json: boolean; readonly cursorFile: string | null }
  | {
      readonly mode: 'export';
      readonly format: 'ndjson' | 'csv';
      readonly out: string | null;
      readonly isReplacing: boolean;
    };

const text = { type: 'string' } as const;
const flag = { type: 'boolean', default: false } as const;

/**
 * Reads the arguments of `npm run audit`. Apart from days and durations, it leaves the values of filters to the service, which says
 * what is wrong with them.
 *
 * @throws UserError if an argument is wrong, or two do not go together.
 */
export function readOptions(args: readonly string[], now: Date): AuditOptions {
  const values = parse(args);
  const parameters: Record<string, string> = {};
  for (const [name, parameter] of FILTERS) {
    const value = values[name];
    if (value !== undefined)
      parameters[parameter] = name === 'from' || name === 'to' ? timeOf(name, value, now) : value;
  }
  if (values.latest) parameters['latest'] = 'true';
  return { url: values.url ?? null, jwtFile: values['jwt-file'] ?? null, parameters, ...modeOf(values) };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        action: text,
        status: text,
        actor: text,
        'actor-type': text,
        'token-id': text,
        workspace: text,
        'request-id': text,
        ip: text,
        from: text,
        to: text,
        url: text,
        'jwt-file': text,
        limit: text,
        order: text,
        latest: flag,
        json: flag,
        follow: flag,
        export: text,
        out: text,
        force: flag,
        'cursor-file': text,
        help: { ...flag, short: 'h' },
      },
    }).values;
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    throw new UserError(`${problem.replace(/[\s.]*$/, '')}. Help: npm run -s audit -- --help`, { cause: error });
  }
}

function modeOf(values: ReturnType<typeof parse>): AuditMode {
  if (values.help) return { mode: 'help' };
  const refuse = (
    name: 'limit' | 'order' | 'json' | 'follow' | 'out' | 'force' | 'cursor-file',
    reason: string,
  ): void => {
    if (values[name] !== undefined && values[name] !== false) throw new UserError(`--${name} ${reason}`);
  };
  if (values.export !== undefined) {
    const why = 'does not go with --export, which gives all that matches, oldest first, in its own format.';
    for (const name of ['limit', 'order', 'json', 'follow', 'cursor-file'] as const) refuse(name, why);
    const format = values.export;
    if (format !== 'ndjson' && format !== 'csv') throw new UserError('--export takes ndjson or csv.');
    if (values.out !== undefined && /(^|\/|\/\.|^\.)$/.test(values.out))
      throw new UserError('--out names a file, not a folder.');
    if (values.force && values.out === undefined) throw new UserError('--force goes with --out FILE.');
    return { mode: 'export', format, out: values.out ?? null, isReplacing: values.force };
  }
  for (const name of ['out', 'force'] as const) refuse(name, 'goes with --export alone.');
  if (values.follow) {
    refuse('order', 'does not go with --follow, which shows events as they come.');
    const limit = limitOf(values.limit, FOLLOW_LIMIT_DEFAULT, FOLLOW_LIMIT_MAX, 'To begin earlier, use --from.');
    return { mode: 'follow', limit, json: values.json, cursorFile: values['cursor-file'] || null };
  }
  refuse('cursor-file', 'goes with --follow alone.');
  const order = values.order ?? 'desc';
  if (order !== 'asc' && order !== 'desc') throw new UserError('--order takes asc or desc.');
  const limit = limitOf(values.limit, LIMIT_DEFAULT, LIMIT_MAX, 'For more, use --export.');
  return { mode: 'show', limit, order, json: values.json };
}

const day = z.iso.date();

/** A bound in RFC 3339. A day counts as a whole, in UTC: `--from` begins with it and `--to` ends with it. */
function timeOf(name: 'from' | 'to', value: string, now: Date): string {
  if (day.safeParse(value).success) {
    const beginMs = Date.parse(value);
    return new Date(name === 'from' ? beginMs : beginMs + SECONDS_PER_DAY * 1000).toISOString();
  }
  const seconds = durationSeconds(value);
  if (seconds === null) return value;
  const time = new Date(now.getTime() - seconds * 1000);
  if (Number.isNaN(time.getTime()) || time.getUTCFullYear() < 1970)
    throw new UserError(`--${name} ${value} is longer ago than any event.`);
  return time.toISOString();
}

function limitOf(limit: string | undefined, fallback: number, most: number, advice: string): number {
  if (limit === undefined) return fallback;
  const events = /^\d{1,5}$/.test(limit) ? Number(limit) : 0;
  if (events >= 1 && events <= most) return events;
  throw new UserError(`--limit takes a whole number from 1 to ${most}. ${advice}`);
}
