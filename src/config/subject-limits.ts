/** The limits of `GET /api/v1/subjects`, as a part of `limits.ts`. */

export const SUBJECTS_PAGE_DEFAULT_ROWS = 50;
/** Each subject of a page has its tokens counted. */
export const SUBJECTS_PAGE_MAX_ROWS = 100;
/**
 * Subjects that one page looks through for those that a filter means: four rows of D1 each. Most companies have fewer, and a page of
 * any other says that it is partial.
 */
export const SUBJECTS_SCAN_MAX_ROWS = 10_000;
/** Tokens of one subject that are counted: a page of subjects with any number of dead ones reads at most 300,000 rows of an index. */
export const SUBJECT_TOKENS_COUNTED_MAX_ROWS = 1_000;
/** Blocks of one subject that are shown. There is one for its subject, and one for each label under which it was offboarded. */
export const SUBJECT_BLOCKS_MAX_COUNT = 10;

/** The part of the place where a page of subjects began that its row keeps. The rest of the row needs the room. */
export const SUBJECT_PLACE_DETAIL_MAX_BYTES = 160;
