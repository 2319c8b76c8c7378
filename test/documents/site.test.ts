import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { FAILURE_KINDS, answerTo } from '../../contract/failures.ts';
import { buildSite, siteFiles } from '../../site/build.ts';
import { renderMarkdown, siteLink } from '../../site/markdown.ts';
import { failureBody } from '../../src/http/wire-errors.ts';

// The pages of /docs, as they are uploaded. test/e2e/raw-paths.test.ts asks a service for them.

const FILES = await siteFiles();
const PAGES = [...FILES]
  .filter(([name]) => name.endsWith('.html'))
  .map(([name, content]) => [name, String(content)] as const);

/** The paths that a request gets a file for, as `drop-trailing-slash` has them, with the ids of pages. */
const SERVED = new Map(
  [...FILES]
    .filter(([name]) => name !== '_headers')
    .map(([name, content]) => [
      `/${name.replace(/(\/index)?\.html$/, '')}`,
      new Set([...String(content).matchAll(/ id="([^"]+)"/g)].map(([, id]) => id ?? '')),
    ]),
);

const attributes = (html: string, name: string): string[] =>
  [...html.matchAll(new RegExp(`<[a-z][^>]* ${name}="([^"]*)"`, 'g'))].map(([, value]) => value ?? '');

/** Whether a link of a page leads to a file, and to an anchor in it. */
function leadsSomewhere(page: string, link: string): boolean {
  if (/^(?:https?:\/\/|mailto:)/.test(link) || link === 'data:,') return true;
  const [file = '', anchor] = link.split('#');
  const ids = SERVED.get(file === '' ? page : file);
  return ids !== undefined && (anchor === undefined || ids.has(anchor));
}

describe.each(PAGES)('the page %s', (name, html) => {
  const page = `/${name.replace(/(\/index)?\.html$/, '')}`;

  it('has nothing inline that the policy forbids', () => {
    expect(html).not.toMatch(
      /<style|<[^>]*\s(?:style|on\w+)=|javascript:|<(?:base|form|iframe|object|embed|meta http-equiv)/i,
    );
    for (const [, tag = '', content] of html.matchAll(/<script([^>]*)>(.*?)<\/script>/gs)) {
      const files = /^ src="\/docs\/[^"]+" defer$|^ type="module" src="\/console\/assets\/[^"]+"$/;
      expect([tag, content]).toEqual([expect.stringMatching(files), '']);
    }
  });

  it('loads only what is served beside it, and each of its links leads somewhere', () => {
    const links = [...attributes(html, 'href'), ...attributes(html, 'src')];
    expect(links.length).toBeGreaterThan(4);
    expect(links.filter((link) => !leadsSomewhere(page, link))).toEqual([]);
  });

  it('has each id once, a title, and marks itself where it is named', () => {
    const ids = attributes(html, 'id');
    expect(ids).toEqual([...new Set(ids)]);
    expect(html).toMatch(/<title>\S.+ · Countersign<\/title>/);
    expect(attributes(html, 'aria-current').length).toBeLessThanOrEqual(1);
  });
});

it('the help of every failure leads to a section', () => {
  const helps = FAILURE_KINDS.map((kind) => failureBody(answerTo(kind), 'request-1', null).help);
  expect(helps.filter((help) => !leadsSomewhere('/', help))).toEqual([]);
});

it('/docs lists every page', () => {
  const html = String(FILES.get('docs/index.html'));
  const listed = new Set(attributes(html, 'href'));
  const pages = [...SERVED.keys()].filter((file) => /^\/docs\/[^.]+$/.test(file));
  expect(pages.filter((page) => !listed.has(page))).toEqual([]);
  expect(pages).toContain('/docs/reference');
  expect(listed).toContain('/openapi.json');
});

describe('the console', () => {
  const files = [...FILES].filter(([name]) => name.startsWith('console/'));

  // Over a slow connection that is a second.
  it('is at most 60 KiB compressed', () => {
    const bytes = files.reduce((sum, [, content]) => sum + gzipSync(content).byteLength, 0);
    expect(bytes).toBeLessThanOrEqual(60 * 1024);
  });

  it('never makes markup of a text, and keeps nothing in the browser', () => {
    const script = String(FILES.get('console/assets/console.js'));
    expect(script).not.toMatch(
      /sourceMappingURL|localStorage|sessionStorage|indexedDB|document\.cookie|\beval\(|outerHTML/,
    );
  });
});

/** What else the console's page forbids: other pages around it or beside it, and the machine's devices. */
const CONSOLE_HEADERS = [
  'X-Frame-Options: DENY',
  'Cross-Origin-Opener-Policy: same-origin',
  'Cross-Origin-Resource-Policy: same-origin',
  expect.stringMatching(/^Permissions-Policy: /),
];

describe('the headers', () => {
  /** As Cloudflare reads `_headers`: a rule is a path, where `*` stands for anything, and the lines below it. */
  const rules = String(FILES.get('_headers'))
    .split(/^(?=\/)/m)
    .slice(1)
    .map((rule) => {
      const [pattern = '', ...lines] = rule.split('\n').filter((line) => !line.startsWith('#') && line.trim() !== '');
      return {
        path: new RegExp(`^${pattern.replaceAll('.', '\\.').replace('*', '.*')}$`),
        stars: pattern.split('*').length - 1,
        lines: lines.map((line) => line.trim()),
      };
    });

  it.each([...SERVED.keys()])('of %s come from one rule, and forbid what it does not need', (file) => {
    const own = rules.filter((rule) => rule.path.test(file));
    expect(own).toHaveLength(1);
    expect(own[0]?.stars).toBeLessThanOrEqual(1);
    expect(own[0]?.lines).toEqual([
      expect.stringMatching(/^Content-Security-Policy: default-src 'none';.* frame-ancestors 'none'/),
      'X-Content-Type-Options: nosniff',
      'Referrer-Policy: no-referrer',
      ...(file.startsWith('/console') ? CONSOLE_HEADERS : []),
    ]);
    expect(own[0]?.lines.join('\n')).not.toMatch(/unsafe|https?:|\*/);
  });
});

describe('a build', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'countersign-site-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const built = path.join(folder, 'site');
  const file = (name: string): string => path.join(built, name);

  it('writes every file, takes away what is none of them, and leaves alone what is as it should be', async () => {
    const digest = await buildSite(built);
    const names = readdirSync(built, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    expect(names).toHaveLength(FILES.size);
    const before = statSync(file('docs/errors.html'));
    writeFileSync(file('docs/policy-of-somebody.ts'), 'secret');
    writeFileSync(file('docs/index.html'), 'half');
    expect(await buildSite(built)).toBe(digest);
    expect(readFileSync(file('docs/index.html'))).toEqual(FILES.get('docs/index.html'));
    expect(() => statSync(file('docs/policy-of-somebody.ts'))).toThrow('ENOENT');
    expect(statSync(file('docs/errors.html')).ino).toBe(before.ino);
    expect(readdirSync(folder)).toEqual(['site']);
  });
});

describe('markdown', () => {
  const render = (text: string): string =>
    renderMarkdown(`# A title\n\nFor whoever\nreads. And more.\n\n${text}`, (href) => siteLink(href, ['api', 'errors']))
      .html;

  it.each([
    ['## A `code`, and (more)', 'id="a-code-and-more"'],
    ["## It's **bold** & 1.5 - x_y", 'id="its-bold--15---x_y"'],
    ['## Same\n\n## Same', 'id="same-1"'],
    ['## Où ça', 'id="où-ça"'],
    ['[x](errors.md#not_found)', '<a href="/docs/errors#not_found">x</a>'],
    ['[x](api.md)', '<a href="/docs/api">x</a>'],
    ['[x](#here)', '<a href="#here">x</a>'],
    ['[x](../openapi.json)', '<a href="/openapi.json">x</a>'],
    ['[x](https://example.com/?a=1&b="2")', '<a href="https://example.com/?a=1&amp;b=&quot;2&quot;">x</a>'],
    ['[`policy.ts`](../policy.ts)', '<p><code>policy.ts</code></p>'],
    ['at http://127.0.0.1:8787.', '<a href="http://127.0.0.1:8787">'],
    ['[x](other.md)', '<p>x</p>'],
    ['[x](../docs/api.md)', '<a href="/docs/api">x</a>'],
    ['[x](../../docs/api.md)', '<p>x</p>'],
    ['a < b & `<c>`', '<p>a &lt; b &amp; <code>&lt;c&gt;</code></p>'],
    ['**Status:** 1.\n**Cause:** x\ny', '<strong>Status:</strong> 1.<br>\n<strong>Cause:</strong> x\ny'],
    ['|a|b|\n|-|-:|\n|1|2|', '<tr><td>1</td><td>2</td></tr>'],
    ['<!-- a --> x <!-- b -->', ' x '],
    ['<details><summary>More</summary>\n\nx\n\n</details>', '<details><summary>More</summary>'],
  ])('%s', (text, html) => {
    expect(render(text)).toContain(html);
  });

  it('shows a picture that is served, with a text for those who cannot see it', () => {
    const shown = (text: string): string =>
      renderMarkdown(
        `# T\n\n${text}`,
        () => null,
        (href) => (href === 'x.svg' ? '/docs/x.svg' : null),
      ).html;
    expect(shown('![A "line"](x.svg)')).toContain('<img src="/docs/x.svg" alt="A &quot;line&quot;">');
    expect(() => shown('![](x.svg)')).toThrow('has no text');
    expect(() => shown('![x](../x.svg)')).toThrow('is not served');
  });

  it.each([
    ['<script>x</script>', /This HTML is not rendered/],
    ['x <img src=x onerror=x>', /This HTML is not rendered/],
    ['<details onclick="x">', /This HTML is not rendered/],
    ['[x](javascript:alert)', /does not link to javascript:/],
    ['[x](data:text/html,x)', /does not link to data:/],
    ['[x](/api)', /does not link to \/api/],
    ['![x](x.png)', /picture is not served/],
  ])('%s is refused', (text, problem) => {
    expect(() => render(text)).toThrow(problem);
  });

  it('names its headings for the contents beside it, without links', () => {
    const { headings } = renderMarkdown('# T\n\n## A `b` [c](#t)', (href) => siteLink(href, []));
    expect(headings).toEqual([
      { level: 1, id: 't', html: 'T' },
      { level: 2, id: 'a-b-c', html: 'A <code>b</code> c' },
    ]);
  });

  it('has a title, and says in its first sentence whom it is for', () => {
    expect(renderMarkdown('# A `title`\n\nFor whoever\nreads. And more.', () => null)).toMatchObject({
      title: 'A title',
      lead: 'For whoever reads.',
    });
    expect(renderMarkdown('# T\n\nFor [one](#a): and\n', () => null).lead).toBe('For one.');
    expect(() => renderMarkdown('Text', () => null)).toThrow('does not begin with a title');
  });
});
