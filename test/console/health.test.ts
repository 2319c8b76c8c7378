import { describe, expect, it } from 'vitest';
import type { Failure } from '../../package/client/failure.ts';
import { bytes, count, duration, share } from '../../console/parts/figures.ts';
import { bannerWords, notReadyReasons, reasonWords } from '../../console/parts/reasons.ts';
import { factsOf, isOverdue, quotaUse, verdict } from '../../console/views/health/facts.ts';
import { DEGRADED_REASONS, NOT_READY_REASONS } from '../../src/vocabulary.ts';

const notReady = (message: string, errors: Readonly<Record<string, readonly string[]>> = {}): Failure => ({
  code: 'not_ready',
  message,
  status: 503,
  requestId: null,
  eventId: null,
  retryAfterSeconds: 5,
  errors,
  help: null,
});

describe('the reasons of /readyz', () => {
  it.each([...DEGRADED_REASONS, ...NOT_READY_REASONS])('says %s in words of its own', (reason) => {
    const { title, meaning } = reasonWords(reason);
    expect(title).toMatch(/^[A-Z].*\.$/);
    expect(meaning).toMatch(/^[A-Z].*\.$/);
    expect(`${title} ${meaning}`).not.toContain(reason);
  });

  it('tells no two of them with the same words', () => {
    const titles = [...DEGRADED_REASONS, ...NOT_READY_REASONS].map((reason) => reasonWords(reason).title);
    expect(new Set(titles).size).toBe(titles.length);
  });

  it('tells one of a newer service by its name', () => {
    expect(reasonWords('moon_phase').title).toBe('Something needs attention: moon phase.');
    expect(reasonWords('constructor').title).toBe('Something needs attention: constructor.');
  });

  it('puts all of them into one line', () => {
    expect(bannerWords(['d1_size', 'upstream_unreachable'])).toBe(
      'The database is nearly full. PipeOps does not answer.',
    );
  });

  it.each([
    ['the message alone', notReady('Not ready: d1.'), ['d1']],
    [
      'a message of several',
      notReady('Not ready: d1, schema_outdated. The database lacks it.'),
      ['d1', 'schema_outdated'],
    ],
    ['advice', notReady('Not ready: d1.', { schema_outdated: ['Apply them.'] }), ['schema_outdated']],
    ['a message of another form', notReady('Later.'), []],
    ['another failure', { code: 'client_unreachable', message: 'Not ready: d1.', cause: null } satisfies Failure, []],
  ])('reads them from %s', (_what, failure, reasons) => {
    expect(notReadyReasons(failure)).toEqual(reasons);
  });
});

describe('the facts of the status', () => {
  it('shows each under its name, a time as a time and an event as a link, and leaves out what is not known', () => {
    const facts = factsOf(
      {
        reason: 'upstream_forbidden',
        since: '2026-11-28T10:00:00.000Z',
        last_at: null,
        upstream_status: 1403,
        workspace_uuids: ['one', 'two'],
        missing: [],
        event_id: '2692281b-33b0-482a-b689-002c54a712da',
        in_use: false,
        said_by: 'pipeops',
        because: 'outcome_unknown',
        lost: { because: 'refused' },
        of_a_newer_service: 'text',
      },
      ['reason'],
    );
    expect(facts.map(({ name, kind, value }) => [name, kind, value])).toEqual([
      ['Since', 'time', '2026-11-28T10:00:00.000Z'],
      ['Upstream status', 'number', '1,403'],
      ['Which', 'text', 'one\ntwo'],
      ['Event id', 'event', '2692281b-33b0-482a-b689-002c54a712da'],
      ['In use', 'text', 'no'],
      ['Said by', 'text', 'pipeops'],
      ['Because', 'text', 'outcome unknown'],
      ['Of a newer service', 'text', 'text'],
    ]);
  });

  it.each([
    ['failed', 1, true],
    ['failed', 0, false],
    ['contradicted', 2, true],
    ['open', 2, false],
  ])('of orders that are %s (%i) say whether somebody should look', (key, number, isAlarming) => {
    expect(factsOf({ [key]: number }).map((fact) => fact.isAlarming)).toEqual([isAlarming]);
  });

  it('takes no text for a time that merely begins so', () => {
    expect(factsOf({ reason: '2026-11-28 <b>' })).toMatchObject([{ kind: 'text', value: '2026-11-28 <b>' }]);
  });

  it.each([
    { told: null, reserved: 26, used: 26, words: '26 of 100 calls are reserved here.' },
    { told: 1, reserved: 26, used: 99, words: '26 of 100 calls are reserved here. PipeOps says that 1 call is left.' },
    {
      told: 90,
      reserved: 26,
      used: 26,
      words: '26 of 100 calls are reserved here. PipeOps says that 90 calls are left.',
    },
    {
      told: 0,
      reserved: 200,
      used: 100,
      words: '200 of 100 calls are reserved here. PipeOps says that 0 calls are left.',
    },
  ])(
    'takes the larger of what is reserved ($reserved) and what PipeOps counts ($told left)',
    ({ told, reserved, used, words }) => {
      const use = quotaUse({ limit: 100, reserved, remaining: told, resets_at: null });
      expect(use).toEqual({ used, limit: 100, words });
    },
  );

  it.each([
    [1, 3, 'danger', 'The service does nothing at the moment.'],
    [0, 1, 'warning', 'The service works. 1 thing needs attention.'],
    [0, 2, 'warning', 'The service works. 2 things need attention.'],
    [0, 0, 'good', 'Everything works.'],
  ])('with %i reasons not to be ready and %i to be degraded says so', (stopping, degraded, tone, text) => {
    expect(verdict(stopping, degraded)).toEqual({ tone, text });
  });

  it('waits two minutes before it says that the cron does not run', () => {
    const at = '2026-11-28T10:00:00.000Z';
    expect(isOverdue(at, Date.parse(at) + 120_000)).toBe(false);
    expect(isOverdue(at, Date.parse(at) + 120_001)).toBe(true);
    expect(isOverdue(null, Date.parse(at))).toBe(false);
  });
});

describe('figures', () => {
  it.each([
    [-5, '0 ms'],
    [61, '61 ms'],
    [999.6, '1.0 s'],
    [1_240, '1.2 s'],
    [42_000, '42 s'],
    [83_000, '1 min 23 s'],
    [3_600_000, '1 h'],
    [3_605_000, '1 h 5 s'],
    [90_000_000, '1 d 1 h'],
  ])('tell %d milliseconds as %s', (ms, words) => {
    expect(duration(ms)).toBe(words);
  });

  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [385_024, '385 kB'],
    [9_840_000_000, '9.8 GB'],
    [10_000_000_000, '10 GB'],
  ])('tell %d bytes as %s', (size, words) => {
    expect(bytes(size)).toBe(words);
  });

  it('never round what is used to nothing', () => {
    expect([share(0, 10), share(1, 1_000), share(8, 10), share(1, 0)]).toEqual(['0%', 'less than 1%', '80%', '0%']);
  });

  it('go with their nouns', () => {
    expect([count(1, 'token'), count(1_000, 'token'), count(1, 'try', 'tries')]).toEqual([
      '1 token',
      '1,000 tokens',
      '1 try',
    ]);
  });
});
