/** A problem that the person at the terminal can solve. Its message is shown as one line, without a stack. */
export class UserError extends Error {
  override readonly name = 'UserError';
}

/** The code of a system error such as `ENOENT`, or null for any other value. */
export function errorCode(error: unknown): string | null {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null;
}
