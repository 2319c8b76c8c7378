import { describe, expect, it } from 'vitest';
import { charge, createQuota, quotaHeaders, type Usage, type Verdict } from './quota.ts';

const START_MS = Date.parse('2026-01-01T00:00:00Z');
const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

/** Sends `count` requests at once; gives the last verdict. */
function spend(count: number, nowMs: number, usage?: Usage): { usage: Usage; verdict: Verdict } {
  let last = charge(usage, nowMs);
  for (let sent = 1; sent < count; sent += 1) last = charge(last.usage, nowMs);
  return last;
}

describe('a minute', () => {
  it('has room for 100 requests', () => {
    expect(spend(1, START_MS).verdict).toMatchObject({ allowed: true, limit: 100, remaining: 99 });
    expect(spend(100, START_MS).verdict).toMatchObject({ allowed: true, limit: 100, remaining: 0 });
  });

  it('refuses the 101st and says how long to wait', () => {
    const { usage } = spend(100, START_MS);
    expect(charge(usage, START_MS + 42.5 * SECOND_MS).verdict).toEqual({
      allowed: false,
      limit: 100,
      remaining: 0,
      resetSeconds: (START_MS + MINUTE_MS) / 1000,
      retryAfterSeconds: 18,
    });
  });

  it('is over after exactly 60 seconds', () => {
    const { usage } = spend(100, START_MS);
    expect(charge(usage, START_MS + MINUTE_MS - 1).verdict.allowed).toBe(false);
    expect(charge(usage, START_MS + MINUTE_MS).verdict).toMatchObject({ allowed: true, remaining: 99 });
  });

  it('never asks to wait for less than a second', () => {
    const { usage } = spend(100, START_MS);
    expect(charge(usage, START_MS + MINUTE_MS - 1).verdict.retryAfterSeconds).toBe(1);
  });
});

/** 1,000 requests in the first ten minutes. */
function usedUpHour(): Usage | undefined {
  let usage: Usage | undefined;
  for (let minute = 0; minute < 10; minute += 1) usage = spend(100, START_MS + minute * MINUTE_MS, usage).usage;
  return usage;
}

describe('an hour', () => {
  it('has room for 1,000 requests, and what is refused then waits for the hour', () => {
    const { verdict } = charge(usedUpHour(), START_MS + 10 * MINUTE_MS);
    expect(verdict).toEqual({
      allowed: false,
      limit: 1_000,
      remaining: 0,
      resetSeconds: (START_MS + HOUR_MS) / 1000,
      retryAfterSeconds: 50 * 60,
    });
  });

  it('is what to wait for where the minute is used up as well', () => {
    const { verdict } = charge(usedUpHour(), START_MS + 9.5 * MINUTE_MS);
    expect(verdict).toMatchObject({ allowed: false, limit: 1_000, retryAfterSeconds: 50.5 * 60 });
  });

  it('is over after 60 minutes', () => {
    expect(charge(usedUpHour(), START_MS + HOUR_MS - 1).verdict.allowed).toBe(false);
    expect(charge(usedUpHour(), START_MS + HOUR_MS).verdict).toMatchObject({ allowed: true, limit: 100 });
  });

  it('does not count what was refused', () => {
    const refused = spend(500, START_MS).usage;
    expect(refused.hour.count).toBe(100);
  });
});

it('keeps credentials apart', () => {
  const quota = createQuota();
  for (let sent = 0; sent < 100; sent += 1) quota.charge('one', START_MS);
  expect(quota.charge('one', START_MS).allowed).toBe(false);
  expect(quota.charge('other', START_MS).allowed).toBe(true);
});

it('goes on counting for credentials of this hour when there are very many', () => {
  const quota = createQuota();
  for (let sent = 0; sent < 100; sent += 1) quota.charge('used up', START_MS);
  for (let other = 0; other < 10_001; other += 1) quota.charge(`credential ${other}`, START_MS);
  expect(quota.charge('used up', START_MS).allowed).toBe(false);
});

it('says Retry-After only of a refusal', () => {
  const verdict = { allowed: true, limit: 100, remaining: 7, resetSeconds: 60, retryAfterSeconds: 9 };
  const allowed = { 'X-RateLimit-Limit': '100', 'X-RateLimit-Remaining': '7', 'X-RateLimit-Reset': '60' };
  expect(quotaHeaders(verdict)).toEqual(allowed);
  expect(quotaHeaders({ ...verdict, allowed: false })).toEqual({ ...allowed, 'Retry-After': '9' });
});
