import { canonicalJson } from '../../kit/canonical-json.ts';
import { labelKey } from '../../subjects/labels.ts';
import { sha256Hex } from '../../kit/digest.ts';
import type { Fingerprints } from '../../tokens/fingerprint.ts';
import type { NamedToken, Order, SubjectRef } from '../senders/sender.ts';

/** Digests of what a delivery orders: the one that is stored, and those that an earlier key, or version of this service, would have given. */
export type ContentDigests = readonly [current: string, ...earlier: string[]];

/**
 * What tells a repetition from another delivery under the same id: a digest of what it orders, so that a body that is written
 * anew is the same. A leak's is keyed as fingerprints are, since a secret is in it; two reports are the same only if every item
 * says the same.
 */
export async function contentDigests(order: Order, fingerprints: Fingerprints): Promise<ContentDigests> {
  const digestOf = async (content: unknown): Promise<string> => await sha256Hex(canonicalJson(content));
  const hex = await digestOf(contentOf(order));
  if (order.event === 'token.revoke' && order.tokens.some(({ workspaceSpelled }) => workspaceSpelled !== undefined)) {
    // Before there was one spelling of a workspace, a digest was of that which was sent.
    return [hex, await digestOf(namedTokens(order, (token) => token.workspaceSpelled ?? token.workspaceUuid))];
  }
  if (order.event !== 'token.leaked') return [hex];
  const [current, ...earlier] = (await fingerprints.candidates(hex)).map(({ value }) => value);
  return [current ?? hex, ...earlier];
}

function contentOf(order: Order): unknown {
  switch (order.event) {
    case 'token.leaked':
      return order;
    case 'token.revoke':
      return namedTokens(order, ({ workspaceUuid }) => workspaceUuid);
    case 'subject.offboarded':
    case 'subject.reinstated':
      return { ...order, subject: subjectOf(order.subject) };
  }
}

/** In whichever order, and however often. */
function namedTokens(
  { event, tokens }: Extract<Order, { event: 'token.revoke' }>,
  workspaceOf: (token: NamedToken) => string | null,
): unknown {
  const named = tokens.map((token) => `${token.tokenId} ${workspaceOf(token) ?? ''}`);
  return { event, tokens: [...new Set(named)].toSorted() };
}

const subjectOf = (subject: SubjectRef): SubjectRef =>
  'label' in subject ? { label: labelKey(subject.label) } : { issuer: subject.issuer, subject: subject.subject };
