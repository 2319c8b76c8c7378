import type { AcceptedOf } from './accepted.ts';

/** Survivors of src/trail/log that are accepted. */
export const trailLog: AcceptedOf = {
  'src/trail/log/publishing.ts': [
    [
      'for (let begin = first; begin < log.size; begin += SEALING_PAGE_LEAVES) {',
      'for (let begin = first; begin <= log.size; begin += SEALING_PAGE_LEAVES) {',
      'Behind the last leaf there is a page without leaves, which costs a statement where the last page was full.',
    ],
    [
      'return isFact(kind) && hasRow(row) ? entryOfRow(kind, row, authentic === 1) : null;',
      'return isFact(kind) ? entryOfRow(kind, row, authentic === 1) : null;',
      'Where the row is gone, its columns are null, and their entry is another one than was sealed: only the compiler asks.',
    ],
    [
      'const hasRow = (row: { readonly id: string | null }): row is AuditEventRow => row.id !== null;',
      'const hasRow = (row: { readonly id: string | null }): row is AuditEventRow => true;',
      'Where the row is gone, its columns are null, and their entry is another one than was sealed: only the compiler asks.',
    ],
  ],
  'src/trail/log/signing.ts': [
    [
      'return origin === key.name ? own : await createSigner(key, origin);',
      'return await createSigner(key, origin);',
      'The signer of a key under its own name is made anew: that only costs time.',
    ],
  ],
  'src/trail/log/tree.ts': [
    [
      'const known = new Map(partialTiles(oldSize).map((tile, index) => [tile.level, partials[index] ?? []]));',
      'const known = new Map(partialTiles(oldSize).map((tile, index) => [tile.level, partials[index]]));',
      'What is not known has no hashes either way: only the compiler needs the fallback here.',
    ],
  ],
};
