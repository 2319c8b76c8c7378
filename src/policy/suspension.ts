import type { SuspensionReason } from '../vocabulary.ts';
import type { Role } from './types.ts';

/**
 * The reasons of a suspension that a role may lift: one over any token all of them, one over its own what their owner did.
 * Who was suspended by an administrator or by a webhook must not undo that.
 */
export const liftableReasons = (
  { tokens }: Pick<Role, 'tokens'>,
  suspendedBy: readonly SuspensionReason[],
): readonly SuspensionReason[] => suspendedBy.filter((reason) => tokens === 'any' || reason === 'owner');
