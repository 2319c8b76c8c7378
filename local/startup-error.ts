/** Something that the person at the terminal can put right. Its message is shown as one line, without a stack. */
export class StartupError extends Error {
  override readonly name = 'StartupError';
}
