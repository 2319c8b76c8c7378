import type { Block, Mode, Role, Subject, SubjectRef, WholeDelivery } from '../../../package/client/types.ts';
import { count, plain } from '../../parts/figures.ts';

// People: how their pages name them, who may offboard, and what it does.

/** From so many tokens on, whoever offboards types the number or the name. */
const TYPED_FROM_TOKENS = 11;

/** Somebody as a path names them: one owner of tokens, or a label. */
export function subjectOf(name: string): SubjectRef {
  const bar = name.indexOf('|');
  return bar <= 0 ? { label: name } : { issuer: name.slice(0, bar), subject: name.slice(bar + 1) };
}

/** A short text in which labels are compared: an e-mail address is the same whatever the case of its letters. */
export const labelKey = (label: string): string => label.normalize('NFC').toLowerCase();

/** Whether an entry of the list is whom a path names. */
export const isNamed = (entry: Subject, who: SubjectRef): boolean =>
  'label' in who
    ? entry.issuer === null && entry.label !== null && labelKey(entry.label) === labelKey(who.label)
    : entry.issuer === who.issuer && entry.subject === who.subject;

/** What a search for them begins with. The service takes 128 bytes, and looks for whatever begins so. */
export const searchFor = (who: SubjectRef): string => beginningOf('label' in who ? who.label : who.subject);

/** The first 32 characters of a text. One that is two UTF-16 units is not cut in half. */
export const beginningOf = (text: string): string => text.slice(0, 32).replace(/[\uD800-\uDBFF]$/u, '');

/** Whether one role of them may offboard and reinstate: a block counts everywhere. Grants of two roles never combine. */
export const mayOffboard = (roles: readonly Role[]): boolean =>
  roles.some(
    ({ permissions, tokens, workspaces }) =>
      permissions.includes('tokens:revoke') && tokens === 'any' && workspaces.includes('*'),
  );

/** Tokens in words: `3 live of 12`. */
export function tokenCounts({ live, total, more }: Subject['tokens']): string {
  if (total === 0) return 'No tokens';
  return `${plain(live)} live of ${more === true ? 'more than ' : ''}${plain(total)}`;
}

/**
 * What an offboarding would do, a sentence each.
 *
 * @param live how many live tokens it concerns; null: nobody could tell.
 */
export function offboardWords(live: number | null, mode: Mode): readonly string[] {
  const tokens =
    live === 0
      ? 'They have no live token.'
      : mode === 'revoke'
        ? `${theirTokens(live)} revoked at PipeOps. That cannot be undone.`
        : `${theirTokens(live)} suspended at PipeOps. An administrator can resume each.`;
  return [tokens, 'Their sessions here end.', 'They are refused everything until somebody reinstates them.'];
}

function theirTokens(live: number | null): string {
  if (live === null) return 'All their live tokens are';
  return live === 1 ? 'Their live token is' : `Their ${plain(live)} live tokens are`;
}

/** Whether so many tokens go only after somebody typed their number or the name. */
export const isTypingAsked = (live: number | null): boolean => live === null || live >= TYPED_FROM_TOKENS;

/** Whether what somebody typed is the number of the tokens, or the name. */
export function isTyped(typed: string, live: number | null, name: string): boolean {
  const text = typed.trim();
  return text !== '' && (text === name.trim() || (live !== null && (text === String(live) || text === plain(live))));
}

/** What made a block, in words. */
export const blockedBy = ({ reason }: Pick<Block, 'reason'>): string =>
  reason === undefined ? 'A webhook' : 'Somebody here';

/** What a reinstatement came to, in words. */
export function reinstatedWords({ blocks_lifted: lifted = 0, still_blocked: isStill }: WholeDelivery): string {
  if (lifted === 0) return 'No block matches, so nothing was lifted.';
  return isStill === true
    ? `${count(lifted, 'block was', 'blocks were')} lifted. Somebody is still blocked in another way: this page shows how.`
    : `${count(lifted, 'block was', 'blocks were')} lifted. They may call again. Revoked tokens stay revoked, and suspended ones wait for an administrator to resume them.`;
}
