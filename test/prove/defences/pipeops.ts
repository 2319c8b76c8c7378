import type { Defence } from '../defence.ts';

const DEADLINES = ['test/pipeops/deadlines.test.ts'];
const HOSTILE = ['test/pipeops/hostile-answers.test.ts'];
const URLS = { file: 'src/pipeops/requests.ts', test: ['test/pipeops/urls.test.ts'] };
const WIRE = { file: 'src/pipeops/wire.ts', test: ['test/pipeops/wire.test.ts'] };
const PAGES = { file: 'src/pipeops/pages.ts', test: ['test/pipeops/pages.test.ts'] };
const CLIENT = { file: 'src/pipeops/client.ts', test: ['test/pipeops/credentials.test.ts'] };

/** What keeps the admin credential at PipeOps, and PipeOps' answers in their place. */
export const pipeopsDefences: readonly Defence[] = [
  {
    name: 'pipeops: redirects are not followed',
    file: 'src/pipeops/client.ts',
    find: "redirect: 'manual',",
    replace: "redirect: 'follow',",
    test: [...HOSTILE, 'test/pipeops/requests.test.ts', 'test/pipeops/simulator.test.ts'],
  },
  {
    name: 'pipeops: a connection that hangs is given up',
    hangs: true,
    file: 'src/pipeops/client.ts',
    find: 'return ok(await untilAborted(answer, signal));',
    replace: 'return ok(await answer);',
    test: DEADLINES,
  },
  {
    name: 'pipeops: a body that hangs is given up',
    hangs: true,
    file: 'src/pipeops/wire.ts',
    find: 'chunks = await untilAborted(collect(reader, UPSTREAM_BODY_MAX_BYTES), signal);',
    replace: 'chunks = await collect(reader, UPSTREAM_BODY_MAX_BYTES);',
    test: DEADLINES,
  },
  {
    name: 'pipeops: nothing is sent once the time is over',
    file: 'src/pipeops/client.ts',
    find: "if (signal.aborted) return err({ kind: 'upstream_timeout' });",
    replace: '',
    test: DEADLINES,
  },
  {
    name: 'pipeops: an answer has at most UPSTREAM_BODY_MAX_BYTES',
    file: 'src/pipeops/wire.ts',
    find: 'collect(reader, UPSTREAM_BODY_MAX_BYTES)',
    replace: 'collect(reader, Infinity)',
    test: HOSTILE,
  },
  {
    name: 'pipeops: an answer is UTF-8',
    file: 'src/kit/bytes.ts',
    find: "new TextDecoder('utf-8', { fatal: true, ignoreBOM: false })",
    replace: "new TextDecoder('utf-8', { fatal: false, ignoreBOM: false })",
    test: HOSTILE,
  },
  {
    ...CLIENT,
    name: 'pipeops: only a refused credential gives way to the next',
    find: 'if (!isCredentialRefusal(response.status)) {',
    replace: 'if (response.ok) {',
  },
  {
    ...CLIENT,
    name: 'pipeops: each credential is tried once',
    find: 'for (const credential of order) {',
    replace: 'for (const credential of [...order, ...order]) {',
  },
  {
    ...CLIENT,
    name: 'pipeops: a mutation is not sent again without time for its answer',
    find: 'if (call.signal.aborted) break;',
    replace: '',
    test: [...CLIENT.test, ...DEADLINES],
  },
  {
    ...URLS,
    name: 'pipeops: only an id goes into a path',
    find: "if (!isTokenId(tokenId)) throw new TypeError('Not a token id.');",
    replace: '',
  },
  {
    ...URLS,
    name: 'pipeops: only an id in its one spelling goes into a query',
    find: "if (parseWorkspaceUuid(workspaceUuid) !== workspaceUuid) throw new TypeError('Not a workspace UUID.');",
    replace: '',
  },
  {
    name: 'pipeops: no secret passes for an id',
    file: 'src/kit/ids.ts',
    find: 'ID.test(text) && !containsSecret(text)',
    replace: 'ID.test(text)',
    test: ['test/kit/ids.test.ts'],
  },
  {
    ...WIRE,
    name: 'pipeops: an answer is about the token that was asked for',
    find: 'return token?.id === id ? token : null;',
    replace: 'return token ?? (id ? null : null);',
  },
  {
    ...WIRE,
    name: 'pipeops: a 2xx that says it failed did not succeed',
    find: ".refine((status) => status !== 'error')",
    replace: '',
  },
  {
    ...WIRE,
    name: 'pipeops: an answer without a secret is no create',
    find: "typeof secret !== 'string' || !isSecret(secret)",
    replace: "typeof secret !== 'string'",
  },
  {
    ...WIRE,
    name: 'pipeops: a secret belongs to one token',
    find: 'if (outerId !== null && innerId !== null && outerId !== innerId) return null;',
    replace: '',
  },
  {
    ...WIRE,
    name: 'pipeops: a total that Go left at 0 is none',
    find: 'total: total === 0 && items.length > 0 ? null : total',
    replace: 'total',
  },
  {
    ...WIRE,
    name: 'pipeops: what a create’s answer leaves out is not none',
    find: 'leftOut: leftOutOf(flat)',
    replace: 'leftOut: new Set<never>()',
  },
  {
    ...PAGES,
    name: 'pipeops: a list with an item that cannot be read is not whole',
    find: "unreadable === 0 ? 'complete' : 'partial'",
    replace: "'complete' as TokenListState",
  },
  {
    ...PAGES,
    name: 'pipeops: a list whose total is not reached goes on',
    find: 'tokens.size + unreadable >= total',
    replace: 'tokens.size + unreadable >= 0',
  },
  {
    ...PAGES,
    name: 'pipeops: an empty first page is not believed beside a total',
    find: '(pages > 1 || total === null)',
    replace: 'true',
  },
  {
    ...PAGES,
    name: 'pipeops: a page that is ignored proves nothing',
    find: "if (pages > 1 && newIds === 0) return total === null && unreadable === 0 ? 'unproven' : 'partial';",
    replace: 'if (pages > 1 && newIds === 0) return end;',
  },
  {
    ...PAGES,
    name: 'pipeops: a list without pages is not whole for that',
    find: 'listOf(asked, stateWithoutPages(asked, next.error))',
    replace: "listOf(asked, 'complete')",
  },
  {
    ...PAGES,
    name: 'pipeops: a list of very many pages ends, and is not whole',
    find: "if (gathered.pages >= LIST_PAGES_MAX_COUNT) return ok({ status, data: listOf(gathered, 'partial') });",
    replace: "if (gathered.pages >= LIST_PAGES_MAX_COUNT) return ok({ status, data: listOf(gathered, 'complete') });",
  },
  {
    name: 'pipeops: a list of several pages does not say that an id is not there',
    file: 'src/reads/get.ts',
    find: 'const isProof = isProofOfAbsence(list);',
    replace: 'const isProof = list.complete || isProofOfAbsence(list);',
    test: ['test/reads/partial-lists.test.ts'],
  },
  {
    name: 'pipeops: a part of a list is shown as a part',
    file: 'src/reads/list.ts',
    find: 'isPartial: !snapshot.list.complete',
    replace: 'isPartial: false',
    test: ['test/reads/partial-lists.test.ts'],
  },
  {
    name: 'pipeops: a part of a list has bytes of its own',
    file: 'src/reads/present.ts',
    find: "`${isPartial ? 'part' : 'whole'} ${name}`",
    replace: '`whole ${name}`',
    test: ['test/reads/present.test.ts'],
  },
  {
    name: 'pipeops: an expiry that cannot be read is not "never"',
    file: 'src/pipeops/wire.ts',
    find: "if (time === null) context.addIssue({ code: 'custom', message: 'unreadable time' });",
    replace: '',
    test: WIRE.test,
  },
  {
    name: 'pipeops: what it answers is redacted',
    file: 'src/pipeops/wire.ts',
    find: 'transform((text) => (text ? redact(text) : null));',
    replace: 'transform((text) => text || null);',
    test: WIRE.test,
  },
  {
    name: 'pipeops: a timeout leaves the outcome unknown',
    file: 'src/pipeops/tries.ts',
    find: 'upstream_timeout: true',
    replace: 'upstream_timeout: false',
    test: ['test/pipeops/outcome.test.ts'],
  },
];
