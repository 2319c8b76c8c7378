import { sql, type SQL } from 'drizzle-orm';

// `parseWorkspaceUuid` for columns of D1. The trail keeps what was written, which could be any spelling before there was one for
// each workspace. So whatever compares a `workspace_uuid` of the trail with a workspace compares one of these expressions. A
// column is given by its name as it stands in the statement, since an index cannot name its table.

/** The one spelling of a UUID, and any other text as it is. No index serves this expression. */
export function canonicalWorkspace(column: string): SQL {
  const digits = `replace(${column}, '-', '')`;
  const part = (first: number, length: number): string => `substr(${digits}, ${first}, ${length})`;
  const groups = [part(1, 8), part(9, 4), part(13, 4), part(17, 4), part(21, 12)].join(` || '-' || `);
  return sql.raw(`case when ${isRespelledText(column)} and ${digits} not glob '*[^0-9A-Fa-f]*'
    then lower(${groups}) else ${column} end`);
}

/**
 * Whether a text that may be a UUID is in another spelling. The cheap questions come first: nearly every row answers no to both.
 */
export const isRespelled = (column: string): SQL => sql.raw(isRespelledText(column));

const isRespelledText = (column: string): string =>
  `(${column} <> lower(${column}) or ${column} not glob '????????-????-????-????-????????????') and length(replace(${column}, '-', '')) = 32`;

/** The digits of a UUID, which all of its spellings have in common. */
export const digitsOfWorkspace = (column: string): SQL => sql.raw(`lower(replace(${column}, '-', ''))`);
