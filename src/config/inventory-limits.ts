/** The limits of `GET /api/v1/inventory`, as a part of `limits.ts`. */

export const INVENTORY_PAGE_DEFAULT_ROWS = 50;
export const INVENTORY_PAGE_MAX_ROWS = 200;
/**
 * Tokens that one page looks through where no index answers its filter, or several are combined. D1 reads two rows for each, and nine
 * where several workspaces are merged, in some tens of milliseconds: sixty pages look through an inventory of 300,000 tokens.
 */
export const INVENTORY_SCAN_MAX_ROWS = 5_000;

/** Bytes of a label that is asked for: more than an e-mail address may have (RFC 5321 §4.5.3.1). */
export const INVENTORY_LABEL_MAX_BYTES = 320;
/**
 * What the row of a query says of its filter, as JSON. Its columns take up to 980 bytes of AUDIT_ROW_MAX_BYTES, its place, its limit
 * and the policy 215.
 */
export const INVENTORY_FILTER_DETAIL_MAX_BYTES = 850;
/**
 * The bytes that each text of a filter keeps, tried in this order until all of them have room. With the last even every filter at once
 * has. It cuts no time.
 */
export const INVENTORY_FILTER_TEXT_BYTES = [320, 128, 64, 32, 24] as const;
/** The part of the place where a page began that its row keeps. */
export const INVENTORY_PLACE_DETAIL_MAX_BYTES = 160;
