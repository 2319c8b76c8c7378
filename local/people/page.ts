import { createHash } from 'node:crypto';
import { PEOPLE, type Person } from './people.ts';

// The pages of the local OpenID provider. They have no script and load nothing.

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Makes text safe between tags and in quoted attributes. */
const escaped = (text: string): string => text.replace(/[&<>"']/g, (character) => ESCAPES[character] ?? '');

const STYLE = `
:root{color-scheme:light dark;--ground:#f6f7f9;--card:#fff;--line:#d5d9e0;--text:#15181d;--soft:#555e6b;--accent:#1f5fd0;--wrong:#b3261e}
@media (prefers-color-scheme:dark){:root{--ground:#101317;--card:#191d23;--line:#343b46;--text:#e8ebf0;--soft:#a3adba;--accent:#7fb0ff;--wrong:#ff9d94}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.5rem;background:var(--ground);color:var(--text);font:1rem/1.5 system-ui,sans-serif}
main{width:100%;max-width:28rem}
h1{font-size:1.5rem;line-height:1.25;letter-spacing:-.01em;margin:0 0 .5rem}
p{margin:0 0 1.5rem;color:var(--soft)}
p.wrong{color:var(--wrong)}
form{display:grid;gap:.75rem;margin:0}
button{display:grid;grid-template-columns:1fr auto;gap:.125rem .75rem;width:100%;padding:1rem 1.125rem;text-align:left;font:inherit;color:inherit;background:var(--card);border:1px solid var(--line);border-radius:.75rem;cursor:pointer}
button:hover{border-color:var(--accent)}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
button b{font-size:1.0625rem}
button i{font-style:normal;color:var(--accent)}
button span{grid-column:1/-1;color:var(--soft);font-size:.9375rem}
label{display:grid;gap:.25rem}
input{font:inherit;padding:.625rem .75rem;color:inherit;background:var(--card);border:1px solid var(--line);border-radius:.5rem}
small{display:block;margin-top:1.5rem;color:var(--soft)}
a{color:var(--accent)}
`;

/**
 * The Content-Security-Policy of every answer. Chromium holds `form-action` against each redirect that follows a form (CSP3 §6.4.1), so it
 * names the places that a sign-in leads back to.
 */
export const contentSecurityPolicy = (returnOrigins: readonly string[]): string =>
  [
    "default-src 'none'",
    `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
    `form-action 'self' ${returnOrigins.join(' ')}`,
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join('; ');

/** @param body markup, in which everything that is not ours is escaped. */
const page = (title: string, body: string): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${escaped(title)}</h1>
${body}
</main>
</body>
</html>
`;

const button = ({ subject, name, title, may }: Person): string =>
  `<button name="subject" value="${escaped(subject)}"><b>${escaped(name)}</b><i>${escaped(title)}</i><span>${escaped(may)}</span></button>`;

/** What the sign-in page asks for beside a choice. `code`: the code from the terminal. `wrong code`: the one that was typed is wrong. */
export type Asked = 'nothing' | 'code' | 'wrong code';

const CODE_FIELD =
  '<label>Code that npm start has printed<input name="code" required autofocus autocomplete="off" spellcheck="false"></label>';

/**
 * The sign-in page. Its form goes to its own URL.
 *
 * @param people who can be chosen.
 */
export function signInPage(asked: Asked, people: readonly Person[] = PEOPLE): string {
  const wrong = asked === 'wrong code' ? '<p class="wrong" role="alert">That is not the code of this run.</p>' : '';
  return page(
    'Sign in to Countersign',
    `<p>Choose who you are. These people are on this machine only, and need ${asked === 'nothing' ? 'no password' : 'no password but this code'}.</p>
${wrong}<form method="post">
${asked === 'nothing' ? '' : `${CODE_FIELD}\n`}${people.map(button).join('\n')}
</form>
<small>A deployment signs people in at your own OpenID provider. This page belongs to <code>npm start</code>.</small>`,
  );
}

/** A page with a message, and the way back to the console. */
export const messagePage = (title: string, message: string, consoleUrl: string): string =>
  page(title, `<p>${escaped(message)}</p>\n<a href="${escaped(consoleUrl)}">Back to the console</a>`);
