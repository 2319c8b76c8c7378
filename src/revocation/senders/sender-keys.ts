import type { KeySet } from '../../identity/key-set.ts';
import { createRemoteKeys, type RemoteKeys } from '../../identity/remote-keys.ts';
import { JWKS_COOLDOWN_MS } from '../../config/limits.ts';
import { err, ok } from '../../kit/result.ts';
import type { AdapterDependencies } from './sender.ts';
import { fetchKeys, type PublishedKey, toKeySet } from './github-keys.ts';

/** The public keys of a sender. See KeySource. */
export type SenderKeys = RemoteKeys;

/** Keys that are read at a URL, and cached, cooled down and kept for outages as an issuer's are. */
export const remoteKeys = (
  url: string,
  token: string | null,
  { runtime, store }: Pick<AdapterDependencies, 'runtime' | 'store'>,
): SenderKeys =>
  createRemoteKeys(
    {
      name: `webhook ${url}`,
      logged: { keysHost: new URL(url).host },
      fetch: async (network) => await fetchKeys(url, token, network),
    },
    { runtime, store, background: (work) => runtime.background(work) },
  );

/** Keys that stand in the configuration: they are read once, and there are no newer ones. */
export function inlineKeys(published: readonly PublishedKey[]): SenderKeys {
  let set: KeySet | null = null;
  return {
    find: async (look) => {
      set ??= await toKeySet(published);
      return set === null ? err({ retryAfterSeconds: JWKS_COOLDOWN_MS / 1000 }) : ok(await look(set.keys));
    },
  };
}
