import { text } from 'node:stream/consumers';
import { print, watchOutput } from '../output.ts';
import { run } from './run.ts';

const CANNOT_ASK = 2;

// A reader such as `head` may have seen enough. Whatever else keeps the answer from being read makes it no answer.
watchOutput(0, (exitCode) => process.exit(exitCode === 0 ? process.exitCode : CANNOT_ASK));
try {
  process.exitCode = await run(process.argv.slice(2), {
    environment: process.env,
    standardInput: async () => await text(process.stdin),
    say: print,
    complain: (message) => console.error(message),
  });
} catch (error) {
  // Node would end with 1, which says that the policy denies.
  console.error(error);
  process.exitCode = CANNOT_ASK;
}
