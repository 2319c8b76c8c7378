import { globSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import path from 'node:path';
import { consoleFiles } from './console.ts';
import { type Rendered, renderMarkdown, siteLink } from './markdown.ts';
import { documentPage, indexPage, type Link, referencePage } from './template.ts';

// What `/docs`, `/openapi.json` and `/console` serve: Cloudflare serves a folder of files, without the Worker. So a page explains an error
// also where the Worker is not configured.

const ROOT = path.join(import.meta.dirname, '..');
const SWAGGER_UI = path.join(ROOT, 'node_modules', 'swagger-ui-dist');

/** The pages that every page links to, in this order. The others are on `/docs` alone, by name. */
const FIRST = [
  'quickstart',
  'console',
  'client',
  'command',
  'rotation',
  'api',
  'errors',
  'audit',
  'transparency-log',
  'policy',
  'webhooks',
  'operate',
  'security',
];
/** The pictures of documents lie beside them. */
const PICTURES = globSync('*.svg', { cwd: path.join(ROOT, 'docs') });
const REFERENCE = { href: '/docs/reference', title: 'API reference' };

/**
 * Makes the site, and leaves a file alone that is as it should be: a service may be serving it.
 *
 * @returns a digest of all files.
 * @throws if a document has something that cannot be served.
 */
export async function buildSite(folder: string): Promise<string> {
  const files = await siteFiles();
  for (const name of existingFiles(folder)) if (!files.has(name)) rmSync(path.join(folder, name), { force: true });
  const digest = createHash('sha256');
  for (const [name, content] of [...files].toSorted(([one], [other]) => (one < other ? -1 : 1))) {
    const file = path.join(folder, name);
    if (!isSame(file, content)) replaceFile(file, content, `${folder}-draft-${process.pid}`);
    digest.update(`${name}\0${content.byteLength}\0`).update(content);
  }
  return digest.digest('hex');
}

/** The files of the site, by their paths in its folder. */
export async function siteFiles(): Promise<ReadonlyMap<string, Buffer>> {
  const pages = documents();
  const links: readonly Link[] = [REFERENCE, ...pages.filter(({ name }) => FIRST.includes(name))];
  const { version }: { readonly version: string } = JSON.parse(read('package.json').toString());
  const described = [
    {
      ...REFERENCE,
      lead: 'Each route with its parameters, bodies, answers and failures. It can send requests from here.',
    },
    ...pages.map(({ href, title, rendered }) => ({ href, title, lead: rendered.lead })),
    { href: '/openapi.json', title: 'openapi.json', lead: 'The same in OpenAPI 3.1, for generators and linters.' },
  ];
  const files = new Map<string, Buffer>([
    ['docs/index.html', Buffer.from(indexPage(version, described, links))],
    ['docs/reference.html', Buffer.from(referencePage(REFERENCE.href, links))],
    ...pages.map((page) => [`${page.href.slice(1)}.html`, Buffer.from(documentPage(page, links))] as const),
    ...['frame.css', 'page.css', 'reference.js'].map((name) => [`docs/${name}`, read(`site/files/${name}`)] as const),
    ...PICTURES.map((name) => [`docs/${name}`, read(`docs/${name}`)] as const),
    ['_headers', read('site/files/_headers')],
    ['openapi.json', read('openapi.json')],
    ...(await consoleFiles()),
  ]);
  for (const name of ['swagger-ui-bundle.js', 'swagger-ui-bundle.js.LICENSE.txt', 'swagger-ui.css']) {
    files.set(`docs/swagger-ui/${name}`, readFileSync(path.join(SWAGGER_UI, name)));
  }
  // Whoever hands swagger-ui on hands its licence on (Apache-2.0 §4).
  for (const name of ['LICENSE', 'NOTICE']) {
    files.set(`docs/swagger-ui/${name}.txt`, readFileSync(path.join(SWAGGER_UI, name)));
  }
  return files;
}

function documents(): readonly (Link & { readonly name: string; readonly rendered: Rendered })[] {
  const names = globSync('*.md', { cwd: path.join(ROOT, 'docs') })
    .map((file) => path.basename(file, '.md'))
    .toSorted((one, other) => rankOf(one) - rankOf(other) || (one < other ? -1 : 1));
  return names.map((name) => {
    if (['index', 'reference'].includes(name))
      throw new Error(`docs/${name}.md would replace a page that is made here.`);
    try {
      const rendered = renderMarkdown(
        read(`docs/${name}.md`).toString(),
        (href) => siteLink(href, names),
        (href) => (PICTURES.includes(href) ? `/docs/${href}` : null),
      );
      return { name, href: `/docs/${name}`, title: rendered.title, rendered };
    } catch (error) {
      throw new Error(`docs/${name}.md cannot be served. ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    }
  });
}

const rankOf = (name: string): number => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length);

const read = (file: string): Buffer => readFileSync(path.join(ROOT, file));

function existingFiles(folder: string): readonly string[] {
  if (statSync(folder, { throwIfNoEntry: false }) === undefined) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)));
}

const isSame = (file: string, content: Buffer): boolean =>
  statSync(file, { throwIfNoEntry: false })?.size === content.byteLength && readFileSync(file).equals(content);

/** Two builds at once, or one that is killed, leave no part of a file. */
function replaceFile(file: string, content: Buffer, draft: string): void {
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(draft, content);
  renameSync(draft, file);
}
