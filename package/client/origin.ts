/**
 * Checks where a JWT may go.
 *
 * @returns the origin of the service.
 * @throws TypeError if the text is no URL of a service; if it would send the JWT unencrypted over a network; or if Node would hand a
 *   request for this machine to a proxy, which would see the JWT.
 */
export function safeOrigin(url: string, proxies: Proxies = proxiesOfThisProcess()): string {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (parsed === null || !/^https?:$/.test(parsed.protocol)) {
    throw new TypeError('url is no URL of a service, such as https://countersign.example.com.');
  }
  if (parsed.username !== '' || parsed.password !== '')
    throw new TypeError('url holds a name or a password: leave them out.');
  if (parsed.pathname !== '/' || parsed.search !== '' || parsed.hash !== '') {
    throw new TypeError(`url is the origin of a service alone: ${parsed.origin}.`);
  }
  const isLoopback = isLoopbackName(parsed.hostname);
  if (parsed.protocol === 'http:' && !isLoopback) {
    throw new TypeError(`${parsed.origin} is not encrypted, and anyone on the way could read the JWT: use https.`);
  }
  if (isLoopback && proxies.areUsed && !isException(parsed, proxies.exceptions)) {
    throw new TypeError(
      `This Node sends requests to ${parsed.hostname} through a proxy, which would see the JWT: add ${parsed.hostname} to NO_PROXY.`,
    );
  }
  return parsed.origin;
}

/** Whether packets to a host do not leave this machine. */
export const isLoopbackName = (hostname: string): boolean => /^(127(\.\d+){3}|localhost|\[::1\])$/.test(hostname);

/** How this process uses proxies. */
export interface Proxies {
  readonly areUsed: boolean;
  /** The hosts that are asked directly, as NO_PROXY lists them. */
  readonly exceptions: string;
}

/** Node's `fetch` asks proxies with NODE_USE_ENV_PROXY or `--use-env-proxy` alone. Workers and browsers have no such setting. */
function proxiesOfThisProcess(): Proxies {
  const node: NodeLike | undefined = Reflect.get(globalThis, 'process');
  const { env = {}, execArgv = [] } = node ?? {};
  const isSwitchedOn =
    env['NODE_USE_ENV_PROXY'] === '1' ||
    `${env['NODE_OPTIONS'] ?? ''} ${execArgv.join(' ')}`.includes('--use-env-proxy');
  const names = ['http_proxy', 'HTTP_PROXY', 'https_proxy', 'HTTPS_PROXY'];
  return {
    areUsed: isSwitchedOn && names.some((name) => Boolean(env[name])),
    exceptions: env['no_proxy'] || env['NO_PROXY'] || '',
  };
}

interface NodeLike {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly execArgv?: readonly string[];
}

const isException = ({ hostname, host }: URL, exceptions: string): boolean =>
  exceptions.split(/[\s,]+/).some((name) => ['*', hostname, host].includes(name.toLowerCase()));
