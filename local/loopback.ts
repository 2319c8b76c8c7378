/** The names of this machine that a URL of ours may have. */
const LOOPBACK_NAMES = ['127.0.0.1', 'localhost', '::1', '[::1]'] as const;

/**
 * Keeps requests to this machine off proxies. With NODE_USE_ENV_PROXY or `--use-env-proxy` Node sends each `fetch` through HTTP_PROXY,
 * loopback included, and a proxy would see JWTs and leaked secrets. Node reads NO_PROXY when it connects, and child processes inherit it.
 *
 * @param hostname another name of this machine, such as `127.0.0.2`.
 */
export function keepLoopbackDirect(
  environment: Record<string, string | undefined> = process.env,
  hostname: string = LOOPBACK_NAMES[0],
): void {
  const named = environment['no_proxy'] || environment['NO_PROXY'] || '';
  const exceptions = named.split(/[\s,]+/).filter((host) => host !== '');
  if (exceptions.includes('*')) return;
  // Node and curl look at the lower-case name first, other programs at the other one.
  for (const name of ['no_proxy', 'NO_PROXY']) {
    environment[name] = [...new Set([...exceptions, ...LOOPBACK_NAMES, hostname])].join(',');
  }
}
