import { describe, expect, it } from 'vitest';
import { readOptions, usageOf } from '../../../commands/audit/options.ts';
import { UsageError } from '../../../commands/usage.ts';

const USAGE = usageOf('countersign audit');
const NOW = new Date('2026-11-28T12:00:00Z');

describe('the arguments of audit', () => {
  it('show the newest 50 events unless they say otherwise', () => {
    expect(readOptions([], NOW)).toEqual({
      connection: expect.objectContaining({}),
      filter: {},
      mode: 'show',
      limit: 50,
      order: 'desc',
      json: false,
      table: false,
      out: null,
      isReplacing: false,
    });
  });

  it.each([
    ['--action', 'service_account_token.*', 'action'],
    ['--status', 'failure', 'status'],
    ['--actor', 'https://issuer.example|alice', 'actor'],
    ['--actor-type', 'user', 'actor_type'],
    ['--token-id', 'tok-1', 'token_id'],
    ['--workspace', '5877a4ae-0000-4000-8000-000000000001', 'workspace_uuid'],
    ['--request-id', 'request-1', 'request_id'],
    ['--ip', '192.0.2.1', 'ip'],
    ['--token-name', 'deploy', 'token_name'],
    ['--token-prefix', 'sat_mh4J3Fj', 'token_prefix'],
    ['--scope', 'api:full', 'scope'],
    ['--code', 'forbidden', 'code'],
    ['--role', 'ci', 'role'],
    ['--policy-version', '3f0c7b1d92e84a56', 'policy_version'],
    ['--since', '2026-01-01T00:00:00Z', 'from'],
    ['--from', '2026-01-01T00:00:00Z', 'from'],
    ['--to', '2026-01-02T00:00:00Z', 'to'],
  ])('have each filter of the API: %s', (flag, value, parameter) => {
    expect(readOptions([flag, value], NOW)).toHaveProperty('filter', { [parameter]: value });
    expect(USAGE).toContain(flag);
  });

  it.each([
    [['--order', 'asc', '--limit', '7', '--json'], { mode: 'show', order: 'asc', limit: 7, json: true }],
    [['--latest'], { mode: 'show', filter: { latest: 'true' } }],
    [['--follow'], { mode: 'follow', limit: 10, json: false }],
    [['--follow', '--cursor-file', 'p', '--out', 'f'], { mode: 'follow', cursorFile: 'p', out: 'f' }],
    [['--out', 'file'], { mode: 'show', out: 'file' }],
    [['--count-by', 'actor'], { mode: 'count', by: 'actor' }],
    [['counts', '--by', 'day', '--scope', 'api:full'], { mode: 'count', by: 'day', filter: { scope: 'api:full' } }],
    [['--table'], { mode: 'show', table: true }],
    [['--follow', '--json', '--limit', '199'], { mode: 'follow', limit: 199, json: true }],
    [['--export', 'csv'], { mode: 'export', format: 'csv', out: null, isReplacing: false }],
    [['--export', 'ndjson', '--out', 'trail'], { mode: 'export', format: 'ndjson', out: 'trail' }],
    [['--export', 'csv', '--out', 'trail', '--force'], { out: 'trail', isReplacing: true }],
    [
      ['--url', 'https://a.example', '--jwt-file', 'jwt'],
      { connection: { url: 'https://a.example', 'jwt-file': 'jwt' } },
    ],
    [['--help', '--export', 'none'], { mode: 'help' }],
    [['-h'], { mode: 'help' }],
  ])('%j', (args, expected) => {
    expect(readOptions(args, NOW)).toMatchObject(expected);
  });

  it.each([
    [['--jwt', 'x'], "Unknown option '--jwt'"],
    [['revoked'], 'Unexpected argument: filters have names'],
    [['counts'], '--by takes action, actor, code, status, day, hour.'],
    [['--count-by', 'ip'], '--count-by takes action, actor'],
    [['--by', 'actor'], '--by goes with counts'],
    [['--count-by', 'actor', '--follow'], '--follow does not go with counts.'],
    [['--since', '7d', '--from', '8d'], '--since and --from are the same'],
    [['--json', '--table'], '--json and --table: choose one.'],
    [['--table', '--out', 'f'], '--table does not go with --out'],
    [['--follow', '--out', 'f'], '--out goes with --follow where --cursor-file'],
    [['--limit', '0'], '--limit takes a whole number from 1 to 10000. For more, use --export.'],
    [['--limit', '10001'], '--limit takes a whole number from 1 to 10000.'],
    [['--follow', '--limit', '200'], '--limit takes a whole number from 1 to 199. To begin earlier, use --since.'],
    [['--order', 'up'], '--order takes asc or desc.'],
    [['--export', 'xml'], '--export takes ndjson or csv.'],
    [['--force'], '--force goes with --out FILE.'],
    [['--export', 'csv', '--force'], '--force goes with --out FILE.'],
    [['--from', '99999999w'], 'is longer ago than any event.'],
    [['--export', 'csv', '--out', ''], '--out names a file, not a folder.'],
    [['--export', 'csv', '--out', 'folder/'], '--out names a file, not a folder.'],
    [['--export', 'csv', '--out', '.'], '--out names a file, not a folder.'],
    [['--follow', '--order', 'desc'], '--order does not go with --follow'],
    [['--export', 'csv', '--limit', '5'], '--limit does not go with --export'],
    [['--export', 'csv', '--order', 'asc'], '--order does not go with --export'],
    [['--export', 'csv', '--json'], '--json does not go with --export'],
    [['--export', 'csv', '--follow'], '--follow does not go with --export'],
  ])('%j is refused in one line', (args, problem) => {
    expect(() => readOptions(args, NOW)).toThrow(problem);
    expect(() => readOptions(args, NOW)).toThrow(/^[^\n]+$/);
    expect(() => readOptions(args, NOW)).toThrow(UsageError);
  });

  it.each([
    ['--from', '7d', '2026-11-21T12:00:00.000Z'],
    ['--since', '7d', '2026-11-21T12:00:00.000Z'],
    ['--from', '90m', '2026-11-28T10:30:00.000Z'],
    ['--from', '2w', '2026-11-14T12:00:00.000Z'],
    ['--to', '1h', '2026-11-28T11:00:00.000Z'],
    ['--from', '2026-11-01', '2026-11-01T00:00:00.000Z'],
    ['--to', '2026-11-30', '2026-12-01T00:00:00.000Z'],
    ['--to', '2024-02-28', '2024-02-29T00:00:00.000Z'],
    ['--from', '2026-02-30', '2026-02-30'],
    ['--from', 'yesterday', 'yesterday'],
  ])('%s %s asks for %s', (flag, value, expected) => {
    const parameter = flag === '--to' ? 'to' : 'from';
    expect(readOptions([flag, value], NOW)).toHaveProperty(['filter', parameter], expected);
  });
});
