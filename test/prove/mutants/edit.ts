/** A piece of a source, and what stands there instead. */
export interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
  /** What is done, in a word or two. */
  readonly kind: string;
}

/**
 * One change to one place of a source. `site` is the whole expression or statement around the change: what a switch
 * between the two is put around.
 */
export interface Mutant {
  readonly kind: string;
  readonly site: { readonly start: number; readonly end: number; readonly isStatement: boolean };
  /** What stands at the site instead. Empty for a statement: it is gone. */
  readonly replacement: string;
}
