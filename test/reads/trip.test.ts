import type { SessionProof } from '../../src/identity/identity.ts';
import { describe, expect, it } from 'vitest';
import { SNAPSHOT_STALE_MAX_MS } from '../../src/config/limits.ts';
import { newTrace } from '../../src/kit/trace.ts';
import type { DatedList } from '../../src/reads/snapshot.ts';
import { type Basis, type Decided, refusal, type Step } from '../../src/reads/steps.ts';
import { askedToken, askedWorkspace, distinct, isCounted, type Travelling, tripOf } from '../../src/reads/trip.ts';
import { callerWith, role, SHOP } from '../policy/builders.ts';
import { tokenList } from '../support/upstream-token.ts';

// What a read brings to D1 and asks there: decided without D1 and PipeOps.

const NOW = Date.UTC(2026, 10, 28);
const CALLER = { ...callerWith(role()), label: 'Alice@Example.com' };
const LIST: DatedList = { list: tokenList([]), generation: 7, begunAtMs: NOW - 1 };
const DENIED = { kind: 'token_not_found', reason: 'not_readable' } as const;
const LIMITED = { kind: 'upstream_rate_limited', status: 429, retryAfterSeconds: 30 } as const;

const operation = (changes: Partial<Travelling['operation']> = {}): Travelling['operation'] => ({
  subject: {
    action: 'service_account_token.get',
    workspaceUuid: SHOP,
    tokenId: 'tok-1',
    tokenName: null,
    detail: {},
  },
  isReachable: true,
  mayList: true,
  ...changes,
});
const list = operation({
  subject: { ...operation().subject, action: 'service_account_token.list', tokenId: null },
});
const reading = (changes: Partial<Travelling> = {}): Travelling => ({
  dependencies: { runtime: { now: () => NOW + 5 } },
  context: {
    requestId: 'request-1',
    traceparent: null,
    ip: null,
    userAgent: null,
    policyVersion: '0000000000000000',
    trace: newTrace(),
  },
  caller: CALLER,
  operation: operation(),
  wanted: { minBegunMs: NOW - 15_000, eachMs: 4_875, maxAgeMs: 15_000, isOff: false, isNoCache: false },
  eventId: 'event-1',
  startedAtMs: NOW,
  call: null,
  notAsking: null,
  leavings: {},
  ...changes,
});

const SEARCH: Step<unknown> = { kind: 'search' };
const basis = (from: Exclude<Basis['from'], 'pipeops'> = 'memory'): Basis => ({ list: LIST, from });
const asked = (isShared = false): Basis => ({ list: LIST, from: 'pipeops', isShared });
const lookUp: Step<unknown> = { kind: 'look_up', basis: basis() };
const shown = (on: Basis, changes: { status?: number; generation?: null } = {}): Decided<unknown> => ({
  kind: 'show',
  show: () => null,
  basis: on,
  generation: on.list.generation,
  status: null,
  ...changes,
});
const denied: Decided<unknown> = { kind: 'refuse', failure: DENIED, basis: basis(), generation: 7 };
const alone: Decided<unknown> = { kind: 'tell', data: null, basis: null, generation: null, status: 200 };
/** What a read that is decided on a list takes from D1 in its place. */
const INSTEAD = { minBegunMs: NOW - 15_000, eachMs: 4_875, isShared: true, mayAsk: false, reader: null };

describe('a trip', () => {
  it('that looks for a list asks for it, for the token, and for the right to ask PipeOps', () => {
    expect(tripOf(reading(), SEARCH)).toStrictEqual({
      workspaceUuid: SHOP,
      generation: null,
      wanted: {
        ...INSTEAD,
        mayAsk: true,
        reader: {
          issuer: CALLER.issuer,
          subject: CALLER.subject,
          label: CALLER.label,
          session: undefined,
          owner: null,
        },
      },
      tokenId: 'tok-1',
      inventoryOf: null,
      isLook: false,
      record: null,
    });
  });

  it('that looks up a token asks for its row, and for no list', () => {
    expect(tripOf(reading(), lookUp)).toStrictEqual({
      workspaceUuid: SHOP,
      generation: null,
      wanted: null,
      tokenId: 'tok-1',
      inventoryOf: null,
      isLook: false,
      record: null,
    });
  });

  it('that shows a list records that, under the generation of the list, and asks for its inventory', () => {
    expect(tripOf(reading(), shown(basis()))).toMatchObject({
      generation: 7,
      wanted: INSTEAD,
      tokenId: null,
      inventoryOf: LIST,
      isLook: false,
      record: { row: { id: 'event-1', status: 'success', occurred_at: NOW + 5, token_id: 'tok-1' } },
    });
  });

  it('that refuses records that, and asks for no inventory', () => {
    expect(tripOf(reading(), denied)).toMatchObject({
      generation: 7,
      wanted: INSTEAD,
      tokenId: null,
      inventoryOf: null,
      isLook: false,
      record: {
        row: { status: 'failure', error_code: 'not_found', outcome: JSON.stringify({ reason: 'not_readable' }) },
      },
    });
  });

  it('brings what the read leaves', () => {
    const leavings = { endLease: { holder: 'h', isListed: true } };
    expect(tripOf(reading({ leavings }), SEARCH)).toMatchObject(leavings);
  });
});

describe('a list is looked at as a whole', () => {
  it.each([
    ['by the read that asked PipeOps for it', asked(), true],
    ['by none that joined the call of another', asked(true), false],
    ['by none that has it from memory', basis(), false],
    ['by none that has it from D1', basis('d1'), false],
  ])('%s', (_case, on, isLook) => {
    expect(tripOf(reading(), shown(on)).isLook).toBe(isLook);
  });

  it('and by none that is refused', () => {
    expect(tripOf(reading(), { ...denied, basis: asked() }).isLook).toBe(false);
  });
});

describe('no list is wanted', () => {
  it.each([
    [
      'where no role of the caller reads in the workspace',
      reading({ operation: operation({ mayList: false }) }),
      SEARCH,
    ],
    ['nor is one to take its place', reading({ operation: operation({ mayList: false }) }), denied],
    ['by a read that holds whatever the generation is', reading(), shown(basis(), { generation: null })],
    ['by a refusal that rests on none', reading(), refusal<unknown>(DENIED)],
    ['nor under a generation', reading(), { ...refusal<unknown>(DENIED), generation: 7 }],
    ['by what PipeOps told of one token', reading(), alone],
  ])('%s', (_case, read, step) => {
    expect(tripOf(read, step).wanted).toBeNull();
  });
});

describe('the list that is wanted', () => {
  it('may be an hour old where PipeOps is not to be asked, and nobody asks', () => {
    const standIn = { minBegunMs: NOW - SNAPSHOT_STALE_MAX_MS, eachMs: 0, mayAsk: false };
    expect(tripOf(reading({ notAsking: LIMITED }), SEARCH).wanted).toMatchObject(standIn);
    expect(tripOf(reading({ notAsking: LIMITED }), denied).wanted).toMatchObject(standIn);
  });

  it('is shared with nobody where snapshots are off', () => {
    const off = { ...reading().wanted, isOff: true };
    expect(tripOf(reading({ wanted: off }), SEARCH).wanted).toMatchObject({ isShared: false, mayAsk: true });
  });

  it('is given to one who sees its own tokens alone only if this one is its own', () => {
    const trip = tripOf(reading({ operation: operation({ isReachable: false }) }), SEARCH);
    expect(trip.wanted?.reader?.owner).toEqual({ issuer: CALLER.issuer, subject: CALLER.subject });
    expect(askedWorkspace(trip).own).toEqual({ token: 'tok-1', issuer: CALLER.issuer, subject: CALLER.subject });
  });
});

describe('what is asked about a workspace', () => {
  it('by one that looks for a list', () => {
    expect(askedWorkspace(tripOf(reading(), SEARCH))).toStrictEqual({
      workspace: SHOP,
      generation: null,
      min_begun: NOW - 15_000,
      each: 4_875,
      shared: true,
      ask: true,
      issuer: CALLER.issuer,
      subject: CALLER.subject,
      label: 'alice@example.com',
      session: null,
      own: null,
    });
  });

  it('by one that wants none', () => {
    expect(askedWorkspace(tripOf(reading(), alone))).toStrictEqual({
      workspace: SHOP,
      generation: null,
      min_begun: null,
      each: 0,
      shared: false,
      ask: false,
      issuer: null,
      subject: null,
      label: null,
      session: null,
      own: null,
    });
  });

  it('by one that comes through a session, whether it is decided or not', () => {
    const session: SessionProof = {
      id: 'session-1',
      actor_type: 'user',
      issuer: CALLER.issuer,
      subject: CALLER.subject,
      label: null,
      started_at: NOW,
      ends_at: NOW + 1,
      macs: ['mac'],
    };
    const through = reading({ caller: { ...CALLER, session } });
    for (const step of [SEARCH, denied]) expect(askedWorkspace(tripOf(through, step))).toMatchObject({ session });
  });

  it('by one without a label', () => {
    const unnamed = reading({ caller: { ...CALLER, label: null } });
    expect(askedWorkspace(tripOf(unnamed, SEARCH))).toMatchObject({ subject: CALLER.subject, label: null });
  });

  it('is a row of the inventory too, where a token is read and nothing is decided', () => {
    expect(askedToken(tripOf(reading(), SEARCH))).toEqual([{ workspace: SHOP, token: 'tok-1' }]);
    expect(askedToken(tripOf(reading(), denied))).toEqual([]);
    expect(askedToken(tripOf(reading({ operation: list }), SEARCH))).toEqual([]);
  });

  it('is asked once by those who ask alike', () => {
    expect(distinct([{ a: 1 }, { a: 2 }, { a: 1 }])).toEqual([{ a: 1 }, { a: 2 }]);
  });
});

describe('the row of a read', () => {
  it.each([
    ['success', shown(basis()), true],
    ['of what PipeOps told', alone, true],
    ['of a failure of PipeOps', refusal<unknown>(LIMITED), true],
    [
      'of a denial by the policy',
      refusal<unknown>({ kind: 'forbidden', reason: 'workspace', permission: 'tokens:read' }),
      false,
    ],
    ['of a token that is not there, or not theirs', denied, false],
  ])('is shared with alike ones, or not: %s', (_case, decided, counted) => {
    expect(isCounted(decided)).toBe(counted);
    expect(tripOf(reading(), decided).record?.counted).toBe(counted);
  });

  it('has the status of PipeOps where that was asked', () => {
    const statusOf = (decided: Decided<unknown>) => tripOf(reading(), decided).record?.row.upstream_status;
    expect([shown(basis()), shown(basis(), { status: 200 }), alone, refusal(LIMITED), denied].map(statusOf)).toEqual([
      null,
      200,
      200,
      429,
      null,
    ]);
  });

  it.each([
    ['asked nothing', null, false],
    ['told PipeOps its own id', 'event-1', true],
    ['told PipeOps the id of an alike one', 'event-0', false],
  ])('is the one that PipeOps knows, or not: the read %s', (_case, eventId, isAsker) => {
    const call =
      eventId === null ? null : { eventId, traceparent: null, signal: new AbortController().signal, trace: newTrace() };
    expect(tripOf(reading({ call }), alone).record).toMatchObject({ isAsker, label: CALLER.label });
  });
});
