import type { TokenState } from '../pipeops-simulator/faults-wire.ts';
import type { Haystack } from './secrets-scan.ts';

const PREFIX = 'sat_';

/**
 * Looks for the secrets of tokens, however many: what begins as they do is looked up among them, where `findSecrets` looks
 * for each.
 *
 * @returns the names of the haystacks that hold one, with the place; never the secret itself.
 */
export function findMinted(haystacks: readonly Haystack[], tokens: readonly TokenState[]): string[] {
  const secrets = new Set(tokens.map(({ secret }) => secret));
  const lengths = [...new Set([...secrets].map(({ length }) => length))];
  if ([...secrets].some((secret) => !secret.startsWith(PREFIX))) throw new Error('a secret begins otherwise');
  const found: string[] = [];
  for (const { name, bytes } of haystacks) {
    for (let at = bytes.indexOf(PREFIX); at !== -1; at = bytes.indexOf(PREFIX, at + 1)) {
      const isSecret = lengths.some((length) => secrets.has(bytes.toString('latin1', at, at + length)));
      if (isSecret) found.push(`${name} at byte ${at}`);
    }
  }
  return found;
}
