import 'vitest';

declare module 'vitest' {
  interface ProvidedContext {
    /** Where the PipeOps simulator listens that all tests of this run share. */
    pipeopsUrl: string;
  }
}
