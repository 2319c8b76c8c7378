import { describe, expect, it } from 'vitest';
import { findSecrets, printed } from './secrets-scan.ts';

const JWT = 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl';
const holding = (text: string) => [{ name: 'file', bytes: Buffer.from(text) }];

describe('the scan for secrets', () => {
  it.each([
    ['a token secret', 'x sat_abcdefgh y', 'sat_abcdefgh', ['file at byte 2']],
    ['a whole JWT, and so its signature', JWT, JWT, ['file at byte 0', 'file at byte 37']],
    ['the signature of a JWT alone', `cut ${JWT.split('.')[2]}`, JWT, ['file at byte 4']],
    ['nothing where there is nothing', 'sat_abcdefg', 'sat_abcdefgh', []],
    ['not the claims of a JWT alone', 'eyJzdWIiOiJhIn0', JWT, []],
  ])('finds %s', (_case, text, secret, finds) => {
    expect(findSecrets(holding(text), [secret])).toEqual(finds);
  });

  it('does not look for what any text may hold', () => {
    expect(() => findSecrets(holding('x'), ['short'])).toThrow('too short');
  });

  it('leaves out the two lines of the banner that hand out a JWT, and nothing else', () => {
    const { bytes } = printed(`URL=x\nADMIN=${JWT}\nCI=${JWT}\n ADMIN=kept`);
    expect(bytes.toString()).toBe('URL=x\n ADMIN=kept');
  });
});
