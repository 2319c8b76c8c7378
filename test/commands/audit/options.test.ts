import { describe, expect, it } from 'vitest';
import { readOptions, USAGE } from '../../../commands/audit/options.ts';

const NOW = new Date('2026-11-28T12:00:00Z');

describe('the arguments of npm run audit', () => {
  it('show the newest 50 events unless they say otherwise', () => {
    expect(readOptions([], NOW)).toEqual({
      url: null,
      jwtFile: null,
      parameters: {},
      mode: 'show',
      limit: 50,
      order: 'desc',
      json: false,
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
    ['--from', '2026-01-01T00:00:00Z', 'from'],
    ['--to', '2026-01-02T00:00:00Z', 'to'],
  ])('have each filter of the API: %s', (flag, value, parameter) => {
    expect(readOptions([flag, value], NOW).parameters).toEqual({ [parameter]: value });
    expect(USAGE).toContain(flag);
  });

  it.each([
    [['--order', 'asc', '--limit', '7', '--json'], { mode: 'show', order: 'asc', limit: 7, json: true }],
    [['--latest'], { mode: 'show', parameters: { latest: 'true' } }],
    [['--follow'], { mode: 'follow', limit: 10, json: false }],
    [['--follow', '--json', '--limit', '199'], { mode: 'follow', limit: 199, json: true }],
    [['--export', 'csv'], { mode: 'export', format: 'csv', out: null, isReplacing: false }],
    [['--export', 'ndjson', '--out', 'trail'], { mode: 'export', format: 'ndjson', out: 'trail' }],
    [['--export', 'csv', '--out', 'trail', '--force'], { out: 'trail', isReplacing: true }],
    [['--url', 'https://a.example', '--jwt-file', 'jwt'], { url: 'https://a.example', jwtFile: 'jwt' }],
    [['--help', '--export', 'none'], { mode: 'help' }],
    [['-h'], { mode: 'help' }],
  ])('%j', (args, expected) => {
    expect(readOptions(args, NOW)).toMatchObject(expected);
  });

  it.each([
    [['--jwt', 'x'], "Unknown option '--jwt'"],
    [['revoked'], "Unexpected argument 'revoked'"],
    [['--limit', '0'], '--limit takes a whole number from 1 to 10000. For more, use --export.'],
    [['--limit', '10001'], '--limit takes a whole number from 1 to 10000.'],
    [['--follow', '--limit', '200'], '--limit takes a whole number from 1 to 199. To begin earlier, use --from.'],
    [['--order', 'up'], '--order takes asc or desc.'],
    [['--export', 'xml'], '--export takes ndjson or csv.'],
    [['--force'], '--force goes with --export alone.'],
    [['--export', 'csv', '--force'], '--force goes with --out FILE.'],
    [['--from', '99999999w'], 'is longer ago than any event.'],
    [['--export', 'csv', '--out', ''], '--out names a file, not a folder.'],
    [['--export', 'csv', '--out', 'folder/'], '--out names a file, not a folder.'],
    [['--export', 'csv', '--out', '.'], '--out names a file, not a folder.'],
    [['--out', 'file'], '--out goes with --export alone.'],
    [['--follow', '--order', 'desc'], '--order does not go with --follow'],
    [['--export', 'csv', '--limit', '5'], '--limit does not go with --export'],
    [['--export', 'csv', '--order', 'asc'], '--order does not go with --export'],
    [['--export', 'csv', '--json'], '--json does not go with --export'],
    [['--export', 'csv', '--follow'], '--follow does not go with --export'],
  ])('%j is refused in one line', (args, problem) => {
    expect(() => readOptions(args, NOW)).toThrow(problem);
    expect(() => readOptions(args, NOW)).toThrow(/^[^\n]+$/);
  });

  it.each([
    ['--from', '7d', '2026-11-21T12:00:00.000Z'],
    ['--from', '90m', '2026-11-28T10:30:00.000Z'],
    ['--from', '2w', '2026-11-14T12:00:00.000Z'],
    ['--to', '1h', '2026-11-28T11:00:00.000Z'],
    ['--from', '2026-11-01', '2026-11-01T00:00:00.000Z'],
    ['--to', '2026-11-30', '2026-12-01T00:00:00.000Z'],
    ['--to', '2024-02-28', '2024-02-29T00:00:00.000Z'],
    ['--from', '2026-02-30', '2026-02-30'],
    ['--from', 'yesterday', 'yesterday'],
  ])('%s %s asks for %s', (flag, value, expected) => {
    const { parameters } = readOptions([flag, value], NOW);
    expect(parameters[flag.slice(2)]).toBe(expected);
  });
});
