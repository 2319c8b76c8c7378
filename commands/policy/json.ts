import { toWireError } from '../../src/http/wire-errors.ts';
import { rfc3339OrNull } from '../../src/kit/time.ts';
import { denialOf, type Explanation } from './explain.ts';
import type { NamedPolicy } from './files.ts';
import type { Answer } from './who.ts';
import { shown } from './words.ts';

// What `--json` prints. Names are those of the API: `role`, `scopes`, `expires_at`, `code`.

type Named = Pick<NamedPolicy, 'name' | 'version'>;

const policyOf = ({ name, version }: Named) => ({ name, version });

export function explanationJson(explanation: Explanation, named: Named) {
  const denied = denialOf(explanation);
  const head = { policy: policyOf(named), allowed: denied === null, denied };
  if (explanation.kind === 'rejected') {
    const { reason, issuer } = explanation.asker;
    return { ...head, issuer, answer: answerOf({ kind: 'token_rejected', reason }) };
  }
  const { asker, bindings, roles, decision } = explanation;
  const { issuer, subject, label } = asker.identity;
  return {
    ...head,
    caller: { issuer, subject: shown(subject), label: label === null ? null : shown(label) },
    signature: asker.signature,
    untimely: asker.untimely,
    bindings: bindings.map(({ index, binding, gives, unmatched }) => ({
      index,
      role: binding.role,
      gives,
      unmatched: unmatched.map(({ claim, wanted, has }) => ({ claim, wanted, has: shown(has) })),
    })),
    roles: roles.map(({ role, decision: judged }) => ({
      role: role.name,
      allowed: judged.ok,
      refusal: judged.ok ? null : judged.error,
    })),
    grant: decision.allowed
      ? {
          role: decision.grant.role,
          scopes: decision.grant.scopes,
          expires_at: rfc3339OrNull(decision.grant.expiresAtMs),
        }
      : null,
    answer: decision.allowed ? null : answerOf(decision.failure),
  };
}

function answerOf(failure: Parameters<typeof toWireError>[0]) {
  const { status, code, message } = toWireError(failure);
  return { status, code, message };
}

export const whoJson = ({ able, unable, webhooks }: Answer, named: Named) => ({
  policy: policyOf(named),
  roles: able.map(({ role, bindings, needsReader }) => ({
    role: role.name,
    needs_reader: needsReader,
    bindings: bindings.map(({ index, binding }) => ({ index, issuer: binding.issuer, claims: binding.claims })),
  })),
  webhooks: webhooks.map(({ name, events, workspaces }) => ({ name, events, workspaces })),
  not: unable.map(({ role, refusal }) => ({ role: role.name, refusal })),
});
