import { escapeHtml, type Rendered } from './markdown.ts';

// The HTML around a page. It has no inline script and no inline style, since the policy of `files/_headers` forbids both.

/** A page that is linked from every other. */
export interface Link {
  readonly href: string;
  readonly title: string;
}

interface Frame {
  readonly title: string;
  /** The path of the page. */
  readonly href: string;
  readonly links: readonly Link[];
  /** What is in the head beside what all pages have. */
  readonly head: string;
  readonly bodyClass?: string;
}

function frame({ title, href, links, head, bodyClass }: Frame, content: string): string {
  const bar = links.map(
    (link) => `<a href="${link.href}"${link.href === href ? ' aria-current="page"' : ''}>${escapeHtml(link.title)}</a>`,
  );
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)} · Countersign</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/frame.css">
${head}</head>
<body${bodyClass === undefined ? '' : ` class="${bodyClass}"`}>
<nav class="bar" aria-label="Pages"><a class="name" href="/docs">Countersign</a>
${bar.join('\n')}
</nav>
${content}</body>
</html>
`;
}

const PAGE_STYLE = '<link rel="stylesheet" href="/docs/page.css">\n';

/** A document of `docs/`, with its contents beside it. */
export function documentPage(page: Link & { readonly rendered: Rendered }, links: readonly Link[]): string {
  const { headings, html } = page.rendered;
  const items = headings
    .filter(({ level }) => level === 2 || level === 3)
    .map(({ level, id, html: text }) => `<li class="level-${level}"><a href="#${id}">${text}</a></li>\n`);
  return frame(
    { ...page, links, head: PAGE_STYLE },
    `<div class="columns with-contents">
<nav class="contents" aria-label="On this page"><ul>
${items.join('')}</ul></nav>
<main>
${html}</main>
</div>
`,
  );
}

export interface Described extends Link {
  /** Whom it is for, in a sentence. */
  readonly lead: string;
}

/** `/docs` itself. */
export function indexPage(version: string, pages: readonly Described[], links: readonly Link[]): string {
  const items = pages.map(
    ({ href, title, lead }) => `<dt><a href="${href}">${escapeHtml(title)}</a></dt>\n<dd>${escapeHtml(lead)}</dd>\n`,
  );
  return frame(
    { title: 'Documentation', href: '/docs', links, head: PAGE_STYLE },
    `<div class="columns">
<main>
<h1>Countersign</h1>
<p>The audited front door to PipeOps service-account tokens. These pages are of the version that runs here, ${escapeHtml(version)}.</p>
<dl class="pages">
${items.join('')}</dl>
</main>
</div>
`,
  );
}

/** The reference, which swagger-ui draws from `/openapi.json`. */
export const referencePage = (href: string, links: readonly Link[]): string =>
  frame(
    {
      title: 'API reference',
      href,
      links,
      bodyClass: 'reference',
      head: `<link rel="stylesheet" href="/docs/swagger-ui/swagger-ui.css">
<script src="/docs/swagger-ui/swagger-ui-bundle.js" defer></script>
<script src="/docs/reference.js" defer></script>
`,
    },
    `<noscript><p>The reference is drawn by a script. <a href="/openapi.json">openapi.json</a> has all of it.</p></noscript>
<main id="reference"></main>
`,
  );
