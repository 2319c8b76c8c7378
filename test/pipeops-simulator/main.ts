import { startSimulator } from './server.ts';

// Environment: PORT (0, the default: any free one), STATE_FILE (tokens are kept there), LIMITS=off (no rate limits),
// EXIT_WITH_STDIN=1 (ends when standard input does, so that no orphan stays when the parent is killed).

const { PORT = '0', STATE_FILE, LIMITS, EXIT_WITH_STDIN } = process.env;

try {
  const simulator = await startSimulator({
    port: Number(PORT),
    stateFile: STATE_FILE || null,
    limits: LIMITS !== 'off',
  });
  const stop = (): void => {
    // State is on disk before each answer, so there is nothing to wait for.
    void simulator.close().finally(() => process.exit(0));
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  if (EXIT_WITH_STDIN === '1') process.stdin.once('end', stop).once('error', stop).resume();
  console.log(JSON.stringify({ listening: simulator.url }));
} catch (error) {
  console.error(`The PipeOps simulator cannot start: ${error instanceof Error ? error.message : 'unknown error'}`);
  process.exit(1);
}
