import { describe, expect, test } from 'vitest';
import { inventoryQueryOf, lookupOf, nothingFound, sha256Hex } from '../../console/views/tokens/lookup.ts';

const SECRET = 'sat_mh4J3FjLXIdd2RgxKCy86ykPwjlbaQu9fa9NBd1l';
/** By coreutils' `sha256sum`. */
const SECRETS_SHA256 = '4ebeea4645a094f7cbcf58e5faa387f3b8e4fdb0b9a1375a9fc041c2d28c9469';

describe('whose token is this', () => {
  test.each([
    ['a secret', SECRET, { token_sha256: SECRETS_SHA256 }],
    ['a secret with white space around it', `  ${SECRET}\n`, { token_sha256: SECRETS_SHA256 }],
    [
      'text that is no secret, exactly as it came',
      `TOKEN="${SECRET}"`,
      { token_sha256: 'a3eb9821088e8e2175978918e473156a923203f5c48c87b51412636f7be2fac3' },
    ],
    [
      'text beyond ASCII',
      'pässwörd',
      { token_sha256: '46970bef70aced8123f0d5d094717e2a5cd412041e03b26376049fe65b2834a4' },
    ],
    [
      'what may be the secret of another system',
      'a'.repeat(64),
      { token_sha256: 'ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb' },
    ],
    ['a prefix', ' sat_mh4J3Fj ', { token_prefix: 'sat_mh4J3Fj' }],
    ['an id', '8a36570a-d2b2-40b4-9730-fe8bd057ea99', { token_id: '8a36570a-d2b2-40b4-9730-fe8bd057ea99' }],
  ])('asks for the right thing: %s', async (_what, text, query) => {
    const lookup = await lookupOf(text, sha256Hex);
    expect(lookup === null ? null : inventoryQueryOf(lookup)).toEqual(query);
  });

  test('holds nothing of a secret but its hash', async () => {
    expect(JSON.stringify(await lookupOf(SECRET, sha256Hex))).not.toContain(SECRET.slice(4, 12));
  });

  test('asks for nothing where nothing was typed', async () => {
    expect(await lookupOf(' \n', sha256Hex)).toBeNull();
  });

  test('says what it may mean that nothing was found', async () => {
    const lookup = await lookupOf('TOKEN=x', sha256Hex);
    const words = lookup === null ? [] : nothingFound(lookup, false);
    expect(words[0]).toContain('does not look like a PipeOps secret');
    expect(words.join(' ')).toContain('somebody else’s');
    const good = await lookupOf(SECRET, sha256Hex);
    expect((good === null ? [] : nothingFound(good, true)).join(' ')).not.toMatch(/does not look like|somebody else/);
  });
});
