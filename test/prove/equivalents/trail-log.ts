import type { AcceptedOf } from './accepted.ts';

/** Survivors of src/trail/log that are accepted. */
export const trailLog: AcceptedOf = {
  'src/trail/log/publishing.ts': [
    [
      'if (entry === null || hash === null || hashText(hash) !== leaf.hash || leaf.idx !== first + entries.length)',
      'if (entry === null || hashText(hash) !== leaf.hash || leaf.idx !== first + entries.length)',
      'Without an entry there is no hash, and with one there is: only the compiler asks for both.',
    ],
    [
      'if (entry === null || hash === null || hashText(hash) !== leaf.hash || leaf.idx !== first + entries.length)',
      'if (hash === null || hashText(hash) !== leaf.hash || leaf.idx !== first + entries.length)',
      'Without an entry there is no hash, and with one there is: only the compiler asks for both.',
    ],
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
  'src/trail/log/old-log.ts': [
    [
      'const named = row.key === null ? null : parseVerifier(row.key);',
      'const named = parseVerifier(row.key);',
      'Null is no verifier key: only the compiler asks.',
    ],
  ],
  'src/trail/log/outside.ts': [
    [
      'const text = chunks === null ? null : textOf(chunks);',
      'const text = textOf(chunks);',
      'What has no chunks is no text either: only the compiler asks.',
    ],
  ],
  'src/trail/log/witness.ts': [
    [
      'const answer = await post(runtime, { url, body: text, wantsText: false });',
      'const answer = await post(runtime, { url, body: text });',
      'Nobody wants the text either way.',
    ],
    [
      "if (status >= 200 && status < 300) return { kind: 'taken', cosignature: null };",
      "if (status < 300) return { kind: 'taken', cosignature: null };",
      'No answer that fetch gives has a status below 200.',
    ],
    [
      "return second.kind === 'failed' && second.problem === 'inconsistent' ? { kind: 'other', size } : second;",
      "return second.problem === 'inconsistent' ? { kind: 'other', size } : second;",
      'What was taken has no problem: only the compiler asks.',
    ],
    [
      "if (status === 409 && size !== null) return { kind: 'has', size };",
      "if (size !== null) return { kind: 'has', size };",
      'A size is read from a 409 alone.',
    ],
    [
      'return atSeconds !== null && Math.abs(atSeconds * 1000 - nowMs) <= COSIGNATURE_MAX_SKEW_MS;',
      'return Math.abs(atSeconds * 1000 - nowMs) <= COSIGNATURE_MAX_SKEW_MS;',
      'What carries no time counts as from 1970, and that is another day.',
    ],
  ],
};
