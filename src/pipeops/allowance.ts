import type { UpstreamFailure } from '../failures.ts';
import type { Buckets } from './call-buckets.ts';

/** Calls that were reserved together. */
export interface Grant {
  readonly calls: number;
  readonly at: Buckets;
  /** Why they are fewer than were asked for; null: they are not. */
  readonly refusal: UpstreamFailure | null;
}

/**
 * The calls to PipeOps that are reserved for one piece of work, and not sent yet: a mutation reserves its own with its first row,
 * a run of orders a block with its claim. Beyond them each further call (a page, a retry, a read-back) is reserved when it is
 * wanted.
 */
export interface Allowance {
  /** How many are reserved at once when none is left. */
  readonly block: number;
  add(grant: Grant): void;
  /** Uses one up; false: none is left. */
  take(): boolean;
  /** Why none was granted when they were last asked for; null: that is not known. */
  refusal(): UpstreamFailure | null;
  /** The work is over: what is left of it is given back. */
  end(): void;
}

/** @param giveBack takes what nobody sends any more. */
export function createAllowance(block: number, giveBack: (at: Buckets, calls: number) => void): Allowance {
  let left: readonly Grant[] = [];
  let refusal: UpstreamFailure | null = null;
  return {
    block,
    add: (grant) => {
      refusal = grant.refusal;
      if (grant.calls > 0) left = [...left, grant];
    },
    take: () => {
      const [first, ...rest] = left;
      if (first === undefined) return false;
      left = first.calls > 1 ? [{ ...first, calls: first.calls - 1 }, ...rest] : rest;
      return true;
    },
    refusal: () => refusal,
    end: () => {
      for (const { at, calls } of left) giveBack(at, calls);
      left = [];
    },
  };
}
