import 'vitest';

declare module 'vitest' {
  interface ProvidedContext {
    /** Where the PipeOps simulators listen, one for each worker that runs test files. */
    pipeopsUrls: readonly string[];
  }
}
