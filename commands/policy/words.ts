import { describeShortfall, type Shortfall } from '../../src/policy/shortfall.ts';
import { usablePresets } from '../../src/policy/ceiling.ts';
import type { RoleDecision } from '../../src/policy/decide.ts';
import type { Binding, DecisionContext, PolicyRequest, Role } from '../../src/policy/types.ts';
import type { Identity } from '../../src/identity/identity.ts';
import { redact } from '../../src/kit/redaction.ts';
import { durationText } from '../../src/kit/time.ts';
import type { Permission } from '../../src/vocabulary.ts';
import { printable } from '../terminal-text.ts';

// How a policy and its answers are said at a terminal. Values of claims come from outside, so they are made safe to show.

/** Longer values of claims are cut: they are shown to be recognised. */
const SHOWN_MAX_CHARS = 120;

/** A value from outside, on one line and without what looks like a secret. */
export function shown(value: unknown): string {
  const text = printable(redact(typeof value === 'string' ? value : (JSON.stringify(value) ?? 'not there')));
  return text.length > SHOWN_MAX_CHARS ? `${text.slice(0, SHOWN_MAX_CHARS)}…` : text;
}

export const listed = (names: readonly string[], none: string): string =>
  names.length === 0 ? none : names.join(', ');

/** What a binding wants, such as `repository acme/shop, ref refs/heads/main`. */
export const claimsText = ({ claims }: Pick<Binding, 'claims'>): string =>
  Object.entries(claims)
    .map(([name, value]) => `${shown(name)} ${shown(value)}`)
    .join(', ');

/** What a role grants at most, such as `at most api:read, for at most 30 days, in any workspace, its own tokens`. */
export function reachText({ permissions, tokens, workspaces, scopes, maxTtlSeconds, maxTokens }: Role): string {
  const creates = permissions.includes('tokens:create');
  return [
    ...(creates || permissions.includes('tokens:update')
      ? [scopes.includes('*') ? 'any scope' : listed(scopes, 'no scope')]
      : []),
    ...(creates ? [maxTtlSeconds === null ? 'for any time' : `for at most ${durationText(maxTtlSeconds)}`] : []),
    ...(creates ? [`up to ${maxTokens} live tokens`] : []),
    workspaces.includes('*') ? 'in any workspace' : `in ${workspaces.join(', ')}`,
    tokens === 'any' ? "anybody's tokens" : 'own tokens alone',
  ].join('; ');
}

type Refusal = Extract<RoleDecision, { ok: false }>['error'];

/** Why a role does not allow a request, such as `scopes: it allows at most api:read`. */
export function refusalText(
  role: Role,
  refusal: Refusal,
  request: PolicyRequest,
  permission: Permission,
  { presets }: Pick<DecisionContext, 'presets'>,
): string {
  const { name, workspaces, scopes, maxTtlSeconds } = role;
  const said = (shortfall: Shortfall): string =>
    `${refusal}: ${describeShortfall(shortfall).replace(`role "${name}"`, 'it')}`;
  switch (refusal) {
    case 'permission':
      return `permission: it has no ${permission}, only ${role.permissions.join(', ')}`;
    case 'workspace':
      return said({ of: 'workspace', role: name, workspaces });
    case 'preset_unknown':
      return said({ of: 'preset', role: name, presets: Object.keys(usablePresets(role, presets)) });
    case 'scopes':
      return said({ of: 'scopes', role: name, scopes });
    case 'lifetime':
      return said({ of: 'lifetime', role: name, maxTtlSeconds: Number(maxTtlSeconds) });
    case 'ownership':
      return ['order', 'retry', 'audit', 'resume-log'].includes(request.operation)
        ? "ownership: this takes a role with tokens: 'any'"
        : "ownership: it reaches the caller's own tokens alone";
    case 'overlap':
      return said({ of: 'overlap', role: name, maxOverlapSeconds: role.maxOverlapSeconds });
    case 'suspended':
      return "suspended: it lifts the owner's own suspension alone, and the token is suspended for another reason";
    case 'token_limit':
      return request.operation === 'rotate'
        ? `token_limit_reached: it lets its bearer hold ${role.maxTokens} live tokens, and as many successors beside them`
        : `token_limit_reached: it lets its bearer hold ${role.maxTokens} live tokens`;
  }
}

/** What a role allows, such as `scopes api:read, until 2026-12-24T00:00:00.000Z (30 days from now)`. */
export function grantText({ value }: Extract<RoleDecision, { ok: true }>, nowMs: number): string {
  const parts = [
    ...(value.scopes === null ? [] : [`scopes ${value.scopes.join(', ')}`, expiryText(value.expiresAtMs, nowMs)]),
    ...(value.lifts.length === 0 ? [] : [`lifts the suspension by ${value.lifts.join(', ')}`]),
  ];
  return parts.join(', ');
}

const expiryText = (expiresAtMs: number | null, nowMs: number): string =>
  expiresAtMs === null
    ? 'without expiry'
    : `until ${new Date(expiresAtMs).toISOString()} (${durationText(Math.round((expiresAtMs - nowMs) / 1000))} from now)`;

/** What is asked for, such as `create in 5877a4ae-…, scopes api:read, for 30 days`. */
export function requestText(
  request: PolicyRequest,
  asker: Pick<Identity, 'issuer' | 'subject'>,
  nowMs: number,
): string {
  switch (request.operation) {
    case 'audit':
      return 'to read the trail';
    case 'resume-log':
      return 'to begin a new log of the trail';
    case 'order':
      return request.workspaceUuid === '*'
        ? 'to offboard or reinstate somebody'
        : `to order revocations in workspace ${request.workspaceUuid}`;
    case 'retry':
      return `to retry a delivery with orders in ${request.workspaceUuids.join(', ')}`;
    case 'list':
      return `list in workspace ${request.workspaceUuid}`;
    case 'get':
    case 'revoke':
      return `${request.operation} ${tokenText(request, asker)}`;
    case 'rotate':
      return [
        `rotate ${tokenText(request, asker)}`,
        `with scopes ${listed(request.scopes, 'none')}`,
        ...(request.expiresAtMs === null ? [] : [expiryText(request.expiresAtMs, nowMs)]),
        request.overlapSeconds === 0 ? 'without overlap' : `with an overlap of ${durationText(request.overlapSeconds)}`,
        `by a holder of ${request.heldTokens} live tokens`,
      ].join(', ');
    case 'update': {
      const { namedScopes = null, resumes, resulting } = request;
      return [
        `update ${tokenText(request, asker)}`,
        ...(namedScopes === null ? [] : [`to scopes ${namedScopes.join(', ')}`]),
        ...(resumes ? [`to resume it, with scopes ${listed(resulting?.scopes ?? [], 'none')}`] : []),
        ...(resulting === null ? [] : [`which is good ${expiryText(resulting.expiresAtMs, nowMs)}`]),
      ].join(', ');
    }
    case 'create':
      return [
        `create in workspace ${request.workspaceUuid}`,
        ...(request.scopes === null ? [] : [`scopes ${request.scopes.join(', ')}`]),
        ...(request.preset === null ? [] : [`preset ${request.preset}`]),
        request.expiresAtMs === null ? 'no expiry named' : expiryText(request.expiresAtMs, nowMs),
        `by a holder of ${request.heldTokens} live tokens`,
      ].join(', ');
  }
}

function tokenText(
  { workspaceUuid, token }: Extract<PolicyRequest, { operation: 'get' | 'revoke' | 'rotate' | 'update' }>,
  { issuer, subject }: Pick<Identity, 'issuer' | 'subject'>,
): string {
  const owner = token?.owner ?? null;
  const isOwn = owner?.issuer === issuer && owner.subject === subject;
  const whose = owner === null ? "nobody's token" : isOwn ? "the caller's own token" : "somebody else's token";
  const suspendedBy = token?.suspendedBy ?? [];
  const suspended = suspendedBy.length === 0 ? '' : `, suspended by ${suspendedBy.join(', ')},`;
  return `${whose}${suspended} in workspace ${workspaceUuid}`;
}
