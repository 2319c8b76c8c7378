export type Accepted = readonly [before: string, after: string, reason: string];

/** Survivors that are accepted, by their file. A test says which of them no longer is a mutant of the source. */
export type AcceptedOf = Readonly<Record<string, readonly Accepted[]>>;
