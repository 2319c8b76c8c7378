import { spawn } from 'node:child_process';

/** Reads process ids, a line each, until its input ends; then ends the last one named, if that is still wanted. */
const SCRIPT = 'while read -r pid; do last=$pid; done; [ -z "$last" ] || kill -9 "$last" 2>/dev/null';

export interface OrphanGuard {
  /** From now on this process goes when ours goes; null: none does. */
  watch(pid: number | null): void;
}

/**
 * Starts a shell that outlives this process by a moment and takes workerd with it. A SIGKILL leaves us no chance to
 * do so ourselves, and workerd would go on holding its port. The shell has a session of its own, so that neither Ctrl-C nor a
 * signal to our process group ends it first.
 */
export function startOrphanGuard(): OrphanGuard {
  const shell = spawn('/bin/sh', ['-c', SCRIPT], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  // It may be killed by hand; that must not take the service down.
  shell.stdin.on('error', () => {});
  shell.on('error', () => {});
  shell.unref();
  return { watch: (pid) => void shell.stdin.write(`${pid ?? ''}\n`) };
}
