import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Page } from 'playwright-core';
import { expect } from 'vitest';
import { CHECKOUT } from '../../../local/settings.ts';

/** A phone, a tablet, a laptop, and a large screen, in CSS pixels. */
export const SIZES = [
  { width: 390, height: 844 },
  { width: 768, height: 1024 },
  { width: 1280, height: 800 },
  { width: 2560, height: 1440 },
] as const;
export const SCHEMES = ['light', 'dark'] as const;

/** Where pictures are left for people to look at. Git ignores it. */
const PICTURES = path.join(CHECKOUT, 'dist', 'browser');
export const pictureFile = (name: string): string => path.join(PICTURES, `${name}.png`);
const AXE = readFileSync(path.join(CHECKOUT, 'tools', 'browser', 'node_modules', 'axe-core', 'axe.min.js'), 'utf8');

interface AxeViolation {
  readonly id: string;
  readonly impact: string | null;
  readonly help: string;
  readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[];
}

/** What axe finds serious or critical on a page as it stands. */
export async function axeFindings(page: Page): Promise<readonly string[]> {
  // The debugger's protocol puts it there, since the policy of the page lets no script in.
  if (!(await page.evaluate(() => 'axe' in globalThis))) await page.evaluate(AXE);
  const violations = await page.evaluate(async (): Promise<readonly AxeViolation[]> => {
    const { axe } = globalThis as unknown as {
      axe: { run: (root: Document, options: object) => Promise<{ violations: readonly AxeViolation[] }> };
    };
    return (await axe.run(document, { resultTypes: ['violations'] })).violations;
  });
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html.slice(0, 160)).join(' | ')}`);
}

/** What stands out of the window to the right, so that the whole page scrolls sideways. */
export const overflowing = async (page: Page): Promise<readonly string[]> =>
  await page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    if (scrollWidth <= clientWidth) return [];
    const wide = [...document.querySelectorAll('body *')].filter(
      (element) => element.getBoundingClientRect().right > clientWidth + 1,
    );
    return [
      `${scrollWidth} px of ${clientWidth}`,
      ...wide.slice(0, 5).map((element) => element.outerHTML.slice(0, 120)),
    ];
  });

/** Looks at a page as it stands in both themes and at each width. It is drawn anew, and not loaded anew. */
export async function expectGoodLooks(page: Page, name: string): Promise<void> {
  const findings: string[] = [];
  for (const scheme of SCHEMES) {
    await page.emulateMedia({ colorScheme: scheme });
    await untilColoured(page);
    for (const size of SIZES) {
      await page.setViewportSize(size);
      const place = `${name} at ${size.width} px, ${scheme}`;
      findings.push(...(await overflowing(page)).map((finding) => `${place} overflows: ${finding}`));
      // The layouts of a phone and of a laptop: a wider window only adds room.
      if (size.width === 390 || size.width === 1280)
        findings.push(...(await axeFindings(page)).map((finding) => `${place}: ${finding}`));
      await page.screenshot({ path: pictureFile(`${name}-${size.width}-${scheme}`) });
    }
  }
  expect(findings).toEqual([]);
}

/** Waits for what fades from the colours of one theme to those of the other: axe would measure what lies between. */
const untilColoured = async (page: Page): Promise<void> =>
  await page.evaluate(async () => {
    const fading = document.getAnimations().filter((animation) => animation instanceof CSSTransition);
    await Promise.allSettled(fading.map(async ({ finished }) => await finished));
  });
