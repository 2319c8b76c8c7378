import { describe, expect, it } from 'vitest';
import { newTrace } from '../../src/kit/trace.ts';
import { decide } from '../../src/policy/decide.ts';
import type { Caller } from '../../src/policy/types.ts';
import { listOperation } from '../../src/reads/list.ts';
import { type DatedList, type InventoryRow, withInventory } from '../../src/reads/snapshot.ts';
import { BANK, callerWith, CONTEXT, role, SHOP } from '../policy/builders.ts';
import { TOKENS } from '../support/harness.ts';
import { tokenList, upstreamToken } from '../support/upstream-token.ts';
import { createCompany, list } from './isolates.ts';

// What a list shows and to whom, and what is made of the list that it asked PipeOps for.

const ADMIN = callerWith(role({ tokens: 'any' }));
const ALICE = callerWith(role());
const operationFor = (caller: Caller, workspace = SHOP) =>
  listOperation({ decide: (who, request) => decide(who, request, CONTEXT) }, caller, workspace);

const row = (id: string, subject: string | null): InventoryRow => ({
  token_id: id,
  owner_issuer: subject === null ? null : ALICE.issuer,
  owner_subject: subject,
  marker: null,
  suspended_by: null,
});
const LISTED: DatedList = {
  list: tokenList(['mine', 'bobs', 'adopted', 'stranger'].map((id) => upstreamToken({ id }))),
  generation: 7,
  begunAtMs: 1,
};
const SNAPSHOT = withInventory(LISTED, [row('mine', 'alice'), row('bobs', 'bob'), row('adopted', null)]);

describe('a list', () => {
  it.each([
    ['one who reads its own tokens there', ALICE, null],
    ['one who reads all of them', ADMIN, null],
    ['one whose roles are over another workspace', callerWith(role({ workspaces: [BANK] })), 'workspace'],
    ['one whose roles do not read', callerWith(role({ permissions: ['tokens:create'] })), 'permission'],
  ] as const)('is refused, or not, to %s', (_case, caller, reason) => {
    const failure = operationFor(caller).refuse();
    expect(failure !== null && 'reason' in failure ? failure.reason : failure).toBe(reason);
  });

  const listingFor = (caller: Caller, snapshot = SNAPSHOT, workspace = SHOP) => {
    const judged = operationFor(caller, workspace).judge(snapshot.list, snapshot.inventory, null);
    if (judged.kind !== 'show') throw new Error('A list is always shown.');
    return judged.show(snapshot);
  };

  it.each([
    ['all, to one who reads all', ADMIN, ['mine', 'bobs', 'adopted', 'stranger']],
    ['its own, to one who reads its own', ALICE, ['mine']],
    ['none, to one who owns none', { ...ALICE, subject: 'carol' }, []],
    ['none, to a namesake of another issuer', { ...ALICE, issuer: 'https://other.example' }, []],
  ] as const)('shows %s', (_case, caller, ids) => {
    expect(
      listingFor(caller)
        .tokens()
        .map(({ id }) => id),
    ).toEqual(ids);
  });

  it('has one name for all who see the same, and another for whoever sees less or another list', () => {
    const namesFor = (...wanted: Parameters<typeof listingFor>) => listingFor(...wanted).name;
    expect(namesFor(ADMIN)).toBe(namesFor({ ...ADMIN, subject: 'root' }));
    const others = [
      namesFor(ADMIN),
      namesFor(ALICE),
      namesFor({ ...ALICE, subject: 'bob' }),
      namesFor({ ...ALICE, issuer: 'https://other.example' }),
      namesFor(ADMIN, { ...SNAPSHOT, generation: 8 }),
      namesFor(ADMIN, { ...SNAPSHOT, begunAtMs: 2 }),
      namesFor(ALICE, SNAPSHOT, BANK),
    ];
    expect(new Set(others).size).toBe(others.length);
  });

  it('says whether it is a part', () => {
    expect(listingFor(ADMIN).isPartial).toBe(false);
    expect(listingFor(ADMIN, { ...SNAPSHOT, list: { ...LISTED.list, complete: false } }).isPartial).toBe(true);
  });

  it('is decided by itself alone: no row is looked up, and no token is asked for', async () => {
    const operation = operationFor(ADMIN);
    expect([operation.refuseKnowing(row('mine', 'bob')), operation.isKnown(row('mine', 'bob'))]).toEqual([null, false]);
    const call = { eventId: 'e', traceparent: null, signal: new AbortController().signal, trace: newTrace() };
    await expect(operation.askAlone(undefined, call)).rejects.toBeInstanceOf(TypeError);
  });
});

describe('a list that was asked for', () => {
  it('shows what nobody did through this service: that is adopted', async () => {
    const { first } = await createCompany();
    const { id } = await first.control.insertToken({ workspace_uuid: first.workspace, name: 'by hand' });
    expect((await list(first)).status).toBe(200);
    expect(await first.inventory()).toMatchObject([{ token_id: id, owner_issuer: null }]);
  });

  it('shows the token of a create that failed all the same: that is revoked', async () => {
    const { first, age } = await createCompany();
    await first.control.fault({
      status: 422,
      commit: true,
      match: { workspace_uuid: first.workspace, method: 'POST' },
    });
    const failed = await first.send('POST', TOKENS, { body: { name: 'failed', scopes: ['api:read'] } });
    expect(failed.body.success).toBe(false);
    expect(await first.upstreamTokens()).toMatchObject([{ is_revoked: false }]);
    age(121);
    await list(first);
    expect(await first.upstreamTokens()).toMatchObject([{ is_revoked: true }]);
    expect((await first.rows()).find(({ action }) => action === 'service_account_token.revoke')).toMatchObject({
      actor_type: 'system',
      status: 'success',
    });
  });
});

it.each(['', '/:id'])('nothing is made of a list that somebody else asked for: GET …%s', async (path) => {
  const { first, another } = await createCompany();
  const { id } = await first.mint();
  await list(first);
  const works: Promise<unknown>[] = [];
  const reader = await another({ runtime: { background: (work) => void works.push(work) } });
  const answer = await reader.send('GET', `${TOKENS}${path.replace(':id', id)}`);
  expect([answer.status, answer.headers.get('Cache-Status')]).toEqual([200, expect.stringContaining('hit')]);
  await expect(Promise.all(works)).resolves.toBeDefined();
});
