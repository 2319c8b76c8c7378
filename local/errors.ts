/** A problem that the person at the terminal can solve. Its message is shown as one line, without a stack. */
export class UserError extends Error {
  override readonly name = 'UserError';
}

/** The code of a system error such as `ENOENT`, or null for any other value. */
export function errorCode(error: unknown): string | null {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null;
}

/** What a system error of a file means, in words that say what to look at. */
const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'this user may not',
  EPERM: 'this user may not',
  EROFS: 'it is on a read-only file system',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the quota of this user is used up',
  ENOENT: 'the folder is not there',
  ENOTDIR: 'it or a part of its path is no folder',
  EISDIR: 'it is a folder',
  ERR_FS_EISDIR: 'it is a folder',
  EFBIG: 'it would be larger than this user may write',
  EEXIST: 'a file of that name is in the way',
  ELOOP: 'its links lead in a circle',
  ENAMETOOLONG: 'its name is too long',
  EMFILE: 'too many files are open',
  EIO: 'the disk reports an error',
};

/** Why the system refused a file, such as `the disk is full (ENOSPC)`. */
export function reasonOf(error: unknown): string {
  const code = errorCode(error);
  if (code === null) return error instanceof Error ? error.message : String(error);
  const reason = REASONS[code];
  return reason === undefined ? code : `${reason} (${code})`;
}

/**
 * What to do about an error of the system that names a file, in one line. Null for any other error.
 *
 * @param elsewhere how to choose another place, such as `STATE_DIR=/tmp/countersign`.
 */
export function fileProblem(error: unknown, elsewhere: string): string | null {
  if (errorCode(error) === null || !(error instanceof Error && 'path' in error)) return null;
  return `${String(error.path)} cannot be used: ${reasonOf(error)}. Put that right, or choose another place: ${elsewhere}.`;
}
