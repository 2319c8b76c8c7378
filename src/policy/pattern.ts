/** What separates the segments of claims such as `refs/heads/main`, `acme/shop` and `system:serviceaccount:shop:ci`. */
const SEPARATORS = /[/:]/g;

/**
 * Whether a claim's value is what a binding asks for: equal, or, where the pattern holds `*`, equal with each `*` standing
 * for any run of characters without `/` and `:`. Every other character stands for itself. Nothing matches an empty value.
 *
 * The pieces between the `*` cover every separator of the pattern. So if the value has no more of them, whatever is left
 * for the `*` has none.
 */
export function matchesPattern(pattern: string, value: string): boolean {
  if (value === '') return false;
  if (!pattern.includes('*')) return pattern === value;
  return separatorCount(pattern) === separatorCount(value) && matchesPieces(pattern, value);
}

/**
 * Takes the leftmost place for each piece between two `*`: if any choice leads to a match, that one does. The value is
 * walked once from left to right, so no input makes it backtrack.
 */
function matchesPieces(pattern: string, value: string): boolean {
  const firstStar = pattern.indexOf('*');
  const lastStar = pattern.lastIndexOf('*');
  if (!value.startsWith(pattern.slice(0, firstStar))) return false;
  let end = firstStar;
  for (const piece of pattern.slice(firstStar, lastStar).split('*')) {
    const start = value.indexOf(piece, end);
    if (start < 0) return false;
    end = start + piece.length;
  }
  const suffix = pattern.slice(lastStar + 1);
  return value.length - suffix.length >= end && value.endsWith(suffix);
}

function separatorCount(text: string): number {
  return text.match(SEPARATORS)?.length ?? 0;
}
