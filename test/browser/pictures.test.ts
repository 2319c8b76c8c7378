import path from 'node:path';
import { statSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { CHECKOUT } from '../../local/settings.ts';
import { SCHEMES } from './support/looks.ts';
import { expectSeen, visit } from './support/visit.ts';

// The two pictures of README.md: what somebody sees who has typed its two commands. They are taken anew where that is asked for.

const SIZE = { width: 1280, height: 800 };
/** A page that is read over a phone's connection loads them too. */
const MOST_BYTES = 150 * 1024;

describe.runIf(process.env['README_PICTURES'] === '1')('the pictures of README.md', () => {
  it.each(SCHEMES)('%s', async (scheme) => {
    const { page } = await visit('ada', null, { viewport: SIZE, colorScheme: scheme, reducedMotion: 'reduce' });
    await page.goto('/console/activity');
    await expectSeen(page.getByRole('listitem'));
    await page.evaluate(async () => await document.fonts.ready);
    const file = path.join(CHECKOUT, 'docs', `console-${scheme}.png`);
    await page.screenshot({ path: file, scale: 'css', animations: 'disabled', caret: 'hide' });
    expect(statSync(file).size).toBeLessThan(MOST_BYTES);
  });
});
