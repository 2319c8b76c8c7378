import path from 'node:path';
import { expect, it } from 'vitest';
import { asUserStands } from '../../commands/user-path.ts';
import { CHECKOUT } from '../../local/settings.ts';

it('a file is named from where the user stands, not from the folder that npm runs in', () => {
  const npm = { INIT_CWD: '/home/ada' };
  expect(asUserStands('trail.csv', npm, CHECKOUT)).toBe('/home/ada/trail.csv');
  expect(asUserStands('/tmp/trail.csv', npm, CHECKOUT)).toBe('/tmp/trail.csv');
  expect(asUserStands('trail.csv', {}, CHECKOUT)).toBe(path.join(CHECKOUT, 'trail.csv'));
  // The npm of another project called a script, which called this.
  expect(asUserStands('trail.csv', npm, '/home/eve')).toBe('/home/eve/trail.csv');
});
