import { SHORTFALL_NAMES_MAX_COUNT } from '../../src/config/limits.ts';
import type { Policy } from '../../src/config/policy.ts';
import { toWireError } from '../../src/http/wire-errors.ts';
import type { CaseResult, Untested } from './cases.ts';
import type { Asker, Signature } from './caller.ts';
import { denialOf, type Explanation, type JudgedBinding, permissionFor } from './explain.ts';
import type { NamedPolicy } from './files.ts';
import { type Answer, type Question } from './who.ts';
import { claimsText, grantText, listed, reachText, refusalText, requestText, shown } from './words.ts';

// What the commands print. Nothing here repeats a JWT: of its claims only those that the policy names are shown.

const NAME_CELLS = 10;
const line = (name: string, words: string): string => `${`${name} `.padEnd(NAME_CELLS)}${words}`;
const further = (words: string): string => line('', words);

export const policyLine = ({ name, version }: Pick<NamedPolicy, 'name' | 'version'>): string =>
  line('policy', `${name}, version ${version}`);

const SIGNATURES: Readonly<Record<Signature, string>> = {
  good: 'The signature is good.',
  claims_alone: 'Nobody signed this: these are claims alone, and they count as they are.',
  keys_not_asked:
    'The signature was NOT checked: anybody may have written this JWT, and its claims count as they are. --verify asks the issuer for its keys.',
  keys_unreadable:
    'The signature was NOT checked, since the issuer did not give its keys: the claims count as they are. A service that has not read them before answers 503.',
};

/** What `explain` prints. */
export function explanationLines(explanation: Explanation, policy: Policy, nowMs: number): readonly string[] {
  if (explanation.kind === 'rejected') return rejectionLines(explanation.asker, policy);
  const { asker, bindings, request, context, roles, decision } = explanation;
  const permission = permissionFor(request);
  return [
    ...callerLines(asker),
    line('asks', requestText(request, asker.identity, nowMs)),
    ...bindingLines(bindings, asker.identity.issuer),
    ...roles.map(({ role, decision: judged }) =>
      line(
        `role ${role.name}`,
        judged.ok
          ? ['allows', grantText(judged, nowMs)].filter((words) => words !== '').join(': ')
          : `falls short: ${refusalText(role, judged.error, request, permission, context)}`,
      ),
    ),
    decision.allowed
      ? line('ALLOWED', `by the role ${decision.grant.role}. ${NOT_ASKED}`)
      : line('DENIED', deniedText(explanation)),
    ...(decision.allowed ? [] : [further(answerText(decision.failure)), further(NOT_TOLD)]),
  ];
}

const NOT_ASKED = 'The policy does not know who was offboarded, what PipeOps lets through, and who asks too often.';
const NOT_TOLD = 'The reason stands in the trail; the caller hears the answer alone.';

const answerText = (failure: Parameters<typeof toWireError>[0]): string => {
  const { status, code, message } = toWireError(failure);
  return `The answer is ${status} ${code}: ${message}`;
};

function deniedText(explanation: Extract<Explanation, { kind: 'judged' }>): string {
  const denial = denialOf(explanation);
  if (denial === 'no_role') return 'no_role: no binding gives this caller a role.';
  if (denial === 'token_not_found') {
    return 'token_not_found: no role shows the caller this token, so it is not told that there is one.';
  }
  if (denial === 'permission')
    return `permission: no role of the caller has ${permissionFor(explanation.request)} where it counts.`;
  return `${denial}: no role allows the whole of this request, and two never combine.`;
}

function rejectionLines(
  { reason, issuer }: Extract<Asker, { kind: 'rejected' }>,
  { issuers }: Policy,
): readonly string[] {
  const known = [...new Set(issuers.map((entry) => entry.issuer))];
  return [
    line('caller', issuer === null ? 'nobody that the policy knows' : `of ${issuer}`),
    line('DENIED', `${reason}: the JWT is not accepted, so no role is asked.`),
    ...(reason === 'issuer_unknown'
      ? [further(`The policy accepts JWTs of ${known.join(', ')}. They are compared character by character.`)]
      : []),
    ...entriesOf(issuers, issuer).map(further),
    further(answerText({ kind: 'token_rejected', reason })),
  ];
}

/** What the policy wants of the JWTs of an issuer. */
const entriesOf = (issuers: Policy['issuers'], issuer: string | null): readonly string[] =>
  issuers
    .filter((entry) => entry.issuer === issuer)
    .map(
      ({ audience, algorithms, acceptTyp, subject, header }) =>
        `Its JWTs come in ${header}, for ${audience.join(' or ')}, signed by ${algorithms.join(', ')}, of type ${acceptTyp.join(', ')} or none, with the subject in ${subject}.`,
    );

function callerLines({ identity, signature, untimely }: Extract<Asker, { kind: 'known' }>): readonly string[] {
  const { issuer, subject, label } = identity;
  return [
    line('caller', `${shown(subject)}${label === null ? '' : ` (${shown(label)})`} of ${issuer}`),
    further(SIGNATURES[signature]),
    ...(untimely === null
      ? []
      : [further(`${answerText({ kind: 'token_rejected', reason: untimely })} What follows is for a fresh one.`)]),
  ];
}

function bindingLines(bindings: readonly JudgedBinding[], issuer: string): readonly string[] {
  if (bindings.length === 0) return [line('bindings', `none is about ${issuer}`)];
  const giving = bindings.filter(({ gives }) => gives);
  const others = bindings.filter(({ gives }) => !gives);
  // What another binding would have wanted is of interest to somebody who has no role, and else mostly noise.
  const told = giving.length > 0 ? others.slice(0, SHORTFALL_NAMES_MAX_COUNT) : others;
  const lines = [
    ...giving.map(({ index, binding }) => `bindings[${index}] gives ${binding.role}: ${claimsText(binding)}`),
    ...told.map(
      ({ index, binding, unmatched }) =>
        `bindings[${index}] does not give ${binding.role}: ${unmatched
          .map(({ claim, wanted, has }) => `${shown(claim)} is ${shown(has)}, and not ${shown(wanted)}`)
          .join('; ')}`,
    ),
    ...(others.length > told.length ? [`and ${others.length - told.length} more that do not match`] : []),
  ];
  return lines.map((words, index) => (index === 0 ? line('bindings', words) : further(words)));
}

/** What `who` prints. */
export function whoLines(
  { able, unable, webhooks }: Answer,
  question: Question,
  { presets }: Policy,
): readonly string[] {
  return [
    line('who may', questionText(question)),
    ...able.flatMap(({ role, bindings, needsReader }) => [
      line(`role ${role.name}`, reachText(role)),
      ...(needsReader ? [further('only for whoever has another role with tokens:read that shows the token')] : []),
      ...(bindings.length === 0 ? [further('no binding gives it, so nobody has it')] : []),
      ...bindings.map(({ index, binding }) => further(`bindings[${index}]  ${binding.issuer}  ${claimsText(binding)}`)),
    ]),
    ...webhooks.map(({ name, events, workspaces, kind }) =>
      line(
        'webhook',
        `${name} (${kind}), by ${events.join(', ')}, in ${workspaces.includes('*') ? 'any workspace' : workspaces.join(', ')}`,
      ),
    ),
    ...unable.map(({ role, request, refusal }) =>
      line('not', `role ${role.name}, ${refusalText(role, refusal, request, question.permission, { presets })}`),
    ),
    ...(able.length === 0 && webhooks.length === 0
      ? [
          line(
            'NOBODY',
            `may: ${able.length + unable.length === 0 ? `no role has ${question.permission}` : 'each role that has it falls short'}.`,
          ),
        ]
      : []),
  ];
}

function questionText({ permission, scopes, workspace, expiresIn, others }: Question): string {
  return [
    permission,
    ...(scopes.length === 0 ? [] : [`scopes ${scopes.join(', ')}`]),
    ...(workspace === null ? [] : [`in workspace ${workspace}`]),
    ...(expiresIn === null ? [] : [expiresIn === 'never' ? 'without expiry' : `for ${expiresIn}`]),
    ...(others ? ['tokens of others'] : []),
  ].join(', ');
}

/** What `test` prints. */
export function testLines(
  results: readonly CaseResult[],
  untested: Untested,
  policy: Policy,
  nowMs: number,
): readonly string[] {
  const failed = results.filter(({ holds }) => !holds);
  return [
    ...results.flatMap(({ name, expected, explanation, holds }) =>
      holds
        ? [line('ok', `${shown(name)}: ${outcomeText(explanation)}`)]
        : [
            line('FAILED', `${shown(name)}: ${outcomeText(explanation)}, and not ${expectedText(expected)}`),
            ...explanationLines(explanation, policy, nowMs).map(further),
          ],
    ),
    line(failed.length === 0 ? 'passed' : 'FAILED', `${results.length} cases, ${failed.length} failed`),
    ...(untested.roles.length === 0
      ? []
      : [line('note', `no case is allowed by the role ${listed(untested.roles, '')}`)]),
    ...(untested.bindings.length === 0
      ? []
      : [line('note', `no case has its role by ${untested.bindings.map((index) => `bindings[${index}]`).join(', ')}`)]),
  ];
}

function outcomeText(explanation: Explanation): string {
  const denial = denialOf(explanation);
  if (denial !== null) return `denied, ${denial}`;
  return explanation.kind === 'judged' && explanation.decision.allowed
    ? `allowed by ${explanation.decision.grant.role}`
    : 'allowed';
}

const expectedText = (expected: CaseResult['expected']): string =>
  'allowed' in expected
    ? `allowed by ${expected.allowed}`
    : `denied, ${expected.denied}${expected.role === undefined ? '' : `, by the role ${expected.role}`}`;
