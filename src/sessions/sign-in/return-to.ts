import { RETURN_TO_MAX_CHARS } from '../../config/session-limits.ts';

const CONSOLE = '/console';

/**
 * Where a browser goes after a sign-in: the path of the console that it asked for, or the console. The URL parser decides what the text
 * means, as it will in the browser: `//evil.example`, `/\evil.example` and `https:…` are other origins, and `/console/..` is no path of the
 * console.
 *
 * @param origin our own.
 */
export function returnTo(text: string | null, origin: string): string {
  // A parser drops tabs and line breaks, so what is read is not what stands there.
  if (text === null || text.length > RETURN_TO_MAX_CHARS || !/^\/[!-~]*$/.test(text)) return CONSOLE;
  const url = URL.parse(text, origin);
  if (url === null || url.origin !== origin) return CONSOLE;
  const isWithin = url.pathname === CONSOLE || url.pathname.startsWith(`${CONSOLE}/`);
  return isWithin ? `${url.pathname}${url.search}` : CONSOLE;
}
