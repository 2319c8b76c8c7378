import path from 'node:path';
import { Marked, type Token, type Tokens } from 'marked';

/** A document of `docs/` as HTML. */
export interface Rendered {
  /** Its first heading, as text. */
  readonly title: string;
  /** The first sentence below it, as text: it says whom the page is for. */
  readonly lead: string;
  readonly html: string;
  readonly headings: readonly Heading[];
}

export interface Heading {
  readonly level: number;
  readonly id: string;
  /** HTML without links. */
  readonly html: string;
}

/** HTML in a document. Comments are left out, and any other HTML is a mistake. */
const KNOWN_HTML = /^(?:<!--[\s\S]*?-->|<\/?(?:details|summary)>|[^<>])+$/;
/** A line of a paragraph that begins with a label, such as `**Cause:**`. */
const LABELLED_LINE = /\n(?=<strong>[^<]+:<\/strong>)/g;

/**
 * Renders a document. Headings get the anchors that GitHub gives them, so a link works there and here.
 *
 * @param linkOf where a link leads to here, or null where there is nothing: its text stays without a link.
 * @param pictureOf where a picture is served, or null where it is not.
 * @throws if it has no title, HTML that is not known, or a picture that is not served or says nothing to those who cannot see it.
 */
export function renderMarkdown(
  markdown: string,
  linkOf: (href: string) => string | null,
  pictureOf: (href: string) => string | null = () => null,
): Rendered {
  const headings: Heading[] = [];
  const idOf = anchors();
  const marked = new Marked({
    renderer: {
      heading({ tokens, depth }) {
        const html = this.parser.parseInline(tokens);
        const id = idOf(textOf(tokens));
        headings.push({ level: depth, id, html: html.replaceAll(/<\/?a\b[^>]*>/g, '') });
        const link = `<a class="anchor" href="#${id}" aria-label="A link to this section">#</a>`;
        return `<h${depth} id="${id}">${html}${depth === 1 ? '' : link}</h${depth}>\n`;
      },
      paragraph({ tokens }) {
        return `<p>${this.parser.parseInline(tokens).replaceAll(LABELLED_LINE, '<br>\n')}</p>\n`;
      },
      link({ href, tokens }) {
        const target = linkOf(href);
        const text = this.parser.parseInline(tokens);
        return target === null ? text : `<a href="${escapeHtml(target)}">${text}</a>`;
      },
      table(token) {
        const row = (cells: readonly Tokens.TableCell[]) =>
          `<tr>${cells.map(({ header, tokens }) => inTag(header ? 'th' : 'td', this.parser.parseInline(tokens))).join('')}</tr>\n`;
        const body = token.rows.map(row).join('');
        return `<div class="wide"><table>\n<thead>${row(token.header)}</thead>\n<tbody>${body}</tbody>\n</table></div>\n`;
      },
      html({ text }) {
        if (!KNOWN_HTML.test(text)) throw new Error(`This HTML is not rendered: ${text.trim()}`);
        return text.replaceAll(/<!--[\s\S]*?-->/g, '');
      },
      image({ href, text }) {
        const source = pictureOf(href);
        if (source === null || text === '') throw new Error(`This picture is not served, or has no text: ${href}`);
        return `<img src="${escapeHtml(source)}" alt="${escapeHtml(text)}">`;
      },
    },
  });
  const tokens = marked.lexer(markdown);
  const html = marked.parser(tokens);
  const [first] = tokens;
  if (first?.type !== 'heading' || first['depth'] !== 1) throw new Error('It does not begin with a title.');
  const paragraph = tokens.find(({ type }) => type === 'paragraph');
  return {
    title: textOf([first]),
    lead: firstSentence(paragraph === undefined ? '' : textOf([paragraph])),
    html,
    headings,
  };
}

/**
 * Where a link of a document of `docs/` leads to on the site: another page, the contract, elsewhere, or nothing. What else is in the
 * repository, such as an operator's `policy.ts`, is not served.
 *
 * @param names of the pages.
 */
export function siteLink(href: string, names: readonly string[]): string | null {
  if (/^(?:#|https?:\/\/|mailto:)/.test(href)) return href;
  if (/^[a-z][\w+.-]*:|^\//i.test(href)) throw new Error(`A document does not link to ${href}.`);
  const [file = '', anchor] = href.split('#');
  const target = path.posix.join('docs', file);
  if (target === 'openapi.json') return '/openapi.json';
  const name = /^docs\/([\w-]+)\.md$/.exec(target)?.[1];
  if (name === undefined || !names.includes(name)) return null;
  return `/docs/${name}${anchor === undefined ? '' : `#${anchor}`}`;
}

export const escapeHtml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');

const inTag = (tag: string, html: string): string => `<${tag}>${html}</${tag}>`;

/** The anchors of GitHub: letters, digits, `-` and `_`, and a number where a heading repeats another. */
function anchors(): (text: string) => string {
  const used = new Map<string, number>();
  return (text) => {
    const base = text
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{M}\p{N}\p{Pc}\- ]/gu, '')
      .replaceAll(' ', '-');
    const count = used.get(base) ?? 0;
    used.set(base, count + 1);
    return count === 0 ? base : `${base}-${count}`;
  };
}

/** The text of tokens without their marks. */
const textOf = (tokens: readonly Token[]): string => tokens.map(textOfOne).join('');

function textOfOne(token: Token): string {
  if ('tokens' in token && token.tokens !== undefined) return textOf(token.tokens);
  return 'text' in token && typeof token.text === 'string' ? token.text : '';
}

/** Up to the first full stop, or to a colon in its place. */
const firstSentence = (text: string): string =>
  (/^.*?[.:](?=\s|$)/s.exec(text)?.[0] ?? text).replaceAll(/\s+/g, ' ').replace(/:$/, '.');
