/** A mutant that no test can notice, or that none should, and why. Both texts as `npm run prove` prints them. */
export interface Equivalent {
  readonly file: string;
  readonly before: string;
  readonly after: string;
  readonly reason: string;
}

/** Survivors that are accepted. A test says which of them no longer is a mutant of the source. */
export const equivalents: readonly Equivalent[] = [];
