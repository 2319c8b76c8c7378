const SECRET = /sat_[A-Za-z0-9_-]+/;

/**
 * What the secret may be in a text that a sender took for one, since scanners report a line, a value with its quotes, or the
 * secret itself. At most four, the likeliest last: the text; the text without what surrounds it; what is right of its last `=`
 * or `:`; its first run of `sat_…`. Each is looked for by its fingerprint, so that none finds a token that it is not.
 *
 * Linear in the length of the text, which the sender chooses.
 */
export function candidatesOf(text: string): readonly string[] {
  const bare = bareOf(text);
  const run = SECRET.exec(text)?.[0] ?? '';
  return [...new Set([text, bare, bareOf(valueIn(bare)), run])].filter((candidate) => candidate !== '');
}

/** The one of them whose beginning PipeOps may show as the prefix of a token. */
export const likeliestOf = (text: string): string => SECRET.exec(text)?.[0] ?? bareOf(text);

/** What encloses a value in code, in a configuration file or in JSON, or ends its line there. */
const isAround = (character: string): boolean => /[\s"'`,;]/.test(character);

/** The text without what surrounds it. Two indices and no expression, which would look at a run of spaces again and again. */
export function bareOf(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isAround(text.charAt(start))) start += 1;
  while (end > start && isAround(text.charAt(end - 1))) end -= 1;
  return text.slice(start, end);
}

/** Right of the last `=` or `:` that has a value, so that the padding of base64 is none of them; empty: there is no such one. */
function valueIn(bare: string): string {
  let end = bare.length;
  while (end > 0 && bare.charAt(end - 1) === '=') end -= 1;
  const separator = Math.max(bare.lastIndexOf('=', end - 1), bare.lastIndexOf(':', end - 1));
  return end === 0 || separator < 0 ? '' : bare.slice(separator + 1);
}
