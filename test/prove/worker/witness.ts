/** Says that the source without the defence does not even run: that proves nothing. */
const NO_SOURCE_ANY_MORE = /^(?:(?:Syntax|Reference)Error\b|.* is not defined$)/;
/** What a busy machine says too. */
const OUT_OF_TIME = /(?:Test|Hook) timed out/;

export type Failure = 'witness' | 'broken' | 'timeout';

/** What a failing test says of the source that it ran on. */
export function judgeFailure(message: string): Failure {
  if (NO_SOURCE_ANY_MORE.test(message)) return 'broken';
  return OUT_OF_TIME.test(message.split('\n', 1)[0] ?? '') ? 'timeout' : 'witness';
}
