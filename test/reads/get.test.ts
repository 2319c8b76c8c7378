import { describe, expect, it } from 'vitest';
import type { Failure, UpstreamFailure } from '../../src/failures.ts';
import { err, ok, type Result } from '../../src/kit/result.ts';
import { newTrace } from '../../src/kit/trace.ts';
import type { Answered, Call, UpstreamToken } from '../../src/pipeops/types.ts';
import { decide } from '../../src/policy/decide.ts';
import type { Caller } from '../../src/policy/types.ts';
import { getOperation } from '../../src/reads/get.ts';
import type { InventoryRow } from '../../src/reads/snapshot.ts';
import { BANK, callerWith, CONTEXT, role, SHOP } from '../policy/builders.ts';
import { TOKENS } from '../support/harness.ts';
import { tokenList, upstreamToken } from '../support/upstream-token.ts';
import { createCompany } from './isolates.ts';

// What a get shows and refuses, and when it asks PipeOps, apart from D1: for one who reads all tokens of the workspace, and for one
// who reads its own, to whom the id of another's token must look like one that never was.

const ADMIN = callerWith(role({ tokens: 'any' }));
const ALICE = callerWith(role());
const ID = 'tok-1';
const MARKER = '-csgn-aaaaaaaaaaaaaaaa';
const rowOf = (subject: string | null, marker: string | null = MARKER): InventoryRow => ({
  token_id: ID,
  owner_issuer: subject === null ? null : ALICE.issuer,
  owner_subject: subject,
  marker,
  suspended_by: null,
});
const MINE = rowOf('alice');
const BOBS = rowOf('bob');
const LISTED = upstreamToken({ id: ID });
const REVOKED = upstreamToken({ id: ID, isRevoked: true });

type Got = Result<Answered<UpstreamToken>, UpstreamFailure>;
const FOUND: Got = ok({ status: 200, data: upstreamToken({ id: ID, workspaceId: SHOP }) });
/** @param got what PipeOps answers where it is asked for the token by itself. */
function operationFor(caller: Caller, got: Got = FOUND) {
  const asked: unknown[] = [];
  const operation = getOperation(
    {
      decide: (who, request) => decide(who, request, CONTEXT),
      pipeops: {
        get: async (ref, call) => {
          asked.push([ref, call]);
          return await Promise.resolve(got);
        },
      },
    },
    caller,
    { workspaceUuid: SHOP, tokenId: ID },
  );
  return { operation, asked };
}
/** As the trail says it. */
const reasonOf = (failure: Failure): string => ('reason' in failure ? failure.reason : failure.kind);

it('a get needs no list where lists are off and the inventory has the token', () => {
  const { operation } = operationFor(ADMIN);
  expect([operation.isKnown(BOBS), operation.isKnown(undefined)]).toEqual([true, false]);
});

describe('a get is judged on a list', () => {
  const OTHER = upstreamToken({ id: 'tok-2' });
  /** Whoever asks; what the list shows of the token, and whether it is whole; what is known of the inventory; what comes of it. */
  const judgement = (
    caller: Caller,
    listed: UpstreamToken | null,
    whole: 'whole' | 'part',
    inventory: readonly InventoryRow[] | null,
    token: { readonly row: InventoryRow | undefined } | null,
  ): string => {
    const list = tokenList(listed === null ? [OTHER] : [OTHER, listed], whole === 'whole');
    const known = inventory === null ? null : new Map(inventory.map((row) => [row.token_id, row]));
    const judged = operationFor(caller).operation.judge(list, known, token);
    return judged.kind === 'refuse' ? reasonOf(judged.failure) : judged.kind;
  };

  describe('of which the inventory is not known yet', () => {
    it.each([
      ['what is listed is looked up', ADMIN, LISTED, 'whole', 'look_up'],
      ['what a whole list lacks is not there', ADMIN, null, 'whole', 'unknown'],
      ['what a part of a list lacks is looked up', ADMIN, null, 'part', 'look_up'],
      ['for an owner, what is listed is looked up', ALICE, LISTED, 'whole', 'look_up'],
      ['and so is what a whole list lacks, which takes as long as a token of another', ALICE, null, 'whole', 'look_up'],
      ['and what a part lacks', ALICE, null, 'part', 'look_up'],
    ] as const)('%s', (_case, caller, listed, whole, expected) => {
      expect(judgement(caller, listed, whole, null, null)).toBe(expected);
    });
  });

  describe('with its inventory', () => {
    it.each([
      ['an owner is shown its own', ALICE, LISTED, 'whole', [MINE], 'show'],
      ['and at once, though the list is a part', ALICE, LISTED, 'part', [MINE], 'show'],
      ['one of another is not readable', ALICE, LISTED, 'whole', [BOBS], 'not_readable'],
      ['and takes as long as one that a part of a list lacks', ALICE, LISTED, 'part', [BOBS], 'look_up'],
      ['one that the inventory lacks is unknown to an owner', ALICE, LISTED, 'whole', [], 'unknown'],
      ['what a whole list lacks is not there, whoever owned it', ALICE, null, 'whole', [], 'unknown'],
      ['what a part of a list lacks is looked up', ALICE, null, 'part', [], 'look_up'],
      ['an admin is shown one that the inventory lacks', ADMIN, LISTED, 'part', [], 'show'],
      ['an admin is shown one of another', ADMIN, LISTED, 'whole', [BOBS], 'show'],
      ['one that is revoked is not there', ADMIN, REVOKED, 'whole', [BOBS], 'unknown'],
      ['which nobody has to look up', ADMIN, REVOKED, 'part', [BOBS], 'unknown'],
    ] as const)('%s', (_case, caller, listed, whole, inventory, expected) => {
      expect(judgement(caller, listed, whole, inventory, null)).toBe(expected);
    });
  });

  describe('with the row that was looked up', () => {
    it.each([
      ['what a whole list and the inventory lack is not there', ADMIN, null, 'whole', undefined, 'unknown'],
      ['what a part of a list lacks is asked for', ADMIN, null, 'part', undefined, 'ask_alone'],
      ['but not for an owner', ALICE, null, 'part', undefined, 'unknown'],
      ['nor one of another', ALICE, null, 'part', BOBS, 'not_readable'],
      ['its own is', ALICE, null, 'part', MINE, 'ask_alone'],
      ['its own that a whole list lacks is not there', ALICE, null, 'whole', MINE, 'unknown'],
      ['its own that is listed as revoked is not asked for', ALICE, REVOKED, 'part', MINE, 'unknown'],
      ['its own is shown', ALICE, LISTED, 'part', MINE, 'show'],
      [
        'one that is listed and that the inventory lacks is shown to an admin',
        ADMIN,
        LISTED,
        'whole',
        undefined,
        'show',
      ],
      ['and to no owner', ALICE, LISTED, 'whole', undefined, 'unknown'],
    ] as const)('%s', (_case, caller, listed, whole, row, expected) => {
      expect(judgement(caller, listed, whole, null, { row })).toBe(expected);
    });
  });
});

describe('before PipeOps is asked for anything', () => {
  it.each([
    ['an owner is refused an id that the inventory lacks', ALICE, undefined, 'unknown'],
    ['an owner is refused the token of another', ALICE, BOBS, 'not_readable'],
    ['an owner is not refused its own', ALICE, MINE, null],
    ['an admin is not refused the token of another', ADMIN, BOBS, null],
    ['an admin is not refused an id that the inventory lacks', ADMIN, undefined, null],
    ['a role over another workspace refuses both', callerWith(role({ workspaces: [BANK] })), MINE, 'not_readable'],
    ['a role that does not read refuses its own', callerWith(role({ permissions: [] })), MINE, 'permission'],
  ] as const)('%s', (_case, caller, row, reason) => {
    const failure = operationFor(caller).operation.refuseKnowing(row);
    expect(failure === null ? null : reasonOf(failure)).toBe(reason);
  });
});

it.each([
  ['one who reads its own there', ALICE, true],
  ['one whose roles are over another workspace', callerWith(role({ workspaces: [BANK] })), false],
  ['one whose roles do not read', callerWith(role({ permissions: ['tokens:create'] })), false],
] as const)('a list is looked at, or not, for %s', (_case, caller, mayList) => {
  expect(operationFor(caller).operation.mayList).toBe(mayList);
});

describe('a token that PipeOps is asked for by itself', () => {
  const call: Call = { eventId: 'e', traceparent: null, signal: new AbortController().signal, trace: newTrace() };
  const elsewhere: Got = ok({ status: 200, data: upstreamToken({ id: ID, workspaceId: BANK }) });
  const unsaid: Got = ok({ status: 200, data: upstreamToken({ id: ID, workspaceId: null }) });
  const missing: Got = err({ kind: 'upstream_not_found', status: 404 });
  const down: Got = err({ kind: 'upstream_error', status: 503 });

  it.each([
    ['is shown, where its answer names the workspace', ADMIN, undefined, FOUND, 200],
    ['is not there, where it names another', ADMIN, undefined, elsewhere, 'unknown'],
    ['is not there, where it names none', ADMIN, undefined, unsaid, 'unknown'],
    ['is shown where the inventory has it here, whatever it names', ADMIN, BOBS, unsaid, 200],
    ['is shown to its owner', ALICE, MINE, unsaid, 200],
    ['is not shown to one who owns another', ALICE, BOBS, FOUND, 'not_readable'],
    ['is not shown to an owner where the inventory lacks it', ALICE, undefined, FOUND, 'not_readable'],
    ['is not there, where PipeOps and the inventory lack it', ADMIN, undefined, missing, 'unknown'],
    ['is PipeOps’ 404, where the inventory has it', ADMIN, BOBS, missing, 'upstream_not_found'],
    ['is PipeOps’ failure, where it fails', ADMIN, undefined, down, 'upstream_error'],
  ] as const)('%s', async (_case, caller, row, got, expected) => {
    const { operation, asked } = operationFor(caller, got);
    const answer = await operation.askAlone(row, call);
    expect(answer.ok ? answer.value.status : reasonOf(answer.error)).toBe(expected);
    expect(asked).toEqual([[{ workspaceUuid: SHOP, tokenId: ID }, call]]);
  });

  it.each([
    ['ends with what looks like a marker, and is whole', rowOf('alice', null), true],
    ['ends with the marker of its row', MINE, undefined],
  ])('has a name that %s', async (_case, row, isNameWhole) => {
    const data = upstreamToken({ id: ID, name: `deploy${MARKER}` });
    const answer = await operationFor(ALICE, ok({ status: 200, data })).operation.askAlone(row, call);
    expect(answer).toMatchObject({ ok: true, value: { data: { name: `deploy${MARKER}` } } });
    expect(answer.ok && answer.value.data.isNameWhole).toBe(isNameWhole);
  });
});

it('a get that asked for the list looks at what nobody did through this service', async () => {
  const { first } = await createCompany();
  const { id } = await first.control.insertToken({ workspace_uuid: first.workspace, name: 'by hand' });
  expect((await first.send('GET', `${TOKENS}/${id}`)).status).toBe(200);
  expect(await first.inventory()).toMatchObject([{ token_id: id, owner_issuer: null }]);
});
