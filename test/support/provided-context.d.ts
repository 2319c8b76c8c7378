import 'vitest';

declare module 'vitest' {
  interface ProvidedContext {
    /** Where the PipeOps simulators listen, one for each worker that runs test files. */
    pipeopsUrls: readonly string[];
    /** The service that the browser's tests drive, and the Chromium that they share. */
    browserRun: {
      readonly url: string;
      readonly stateDir: string;
      readonly webSocketUrl: string;
    };
  }
}
