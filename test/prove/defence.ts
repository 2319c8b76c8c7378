/** One line of source that keeps something out, and the tests that must notice when it is gone. */
export interface Defence {
  /** What it keeps out, or holds up. No two have the same name. */
  readonly name: string;
  /** Path from the checkout. */
  readonly file: string;
  /** Text that stands in the file exactly once. It may reach over several lines to be the only one. */
  readonly find: string;
  /** What stands there without the defence. Code that still parses: a test must fail, not the compiler. */
  readonly replace: string;
  /** Without it something waits for ever, so that a test is out of time. Of any other, that proves nothing. */
  readonly hangs?: true;
  /** Test files of the workerd project that must go red, by their paths from the checkout. */
  readonly test: readonly string[];
}
