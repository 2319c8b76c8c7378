/** What the person at the terminal can put right: one line that says how. */
export class AuditError extends Error {
  override readonly name = 'AuditError';
}
