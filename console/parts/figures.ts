// Numbers as people read them.

const counted = new Intl.NumberFormat('en');

/** A number with its noun: `1 token`, `1,000 tokens`. */
export const count = (number: number, noun: string, nouns = `${noun}s`): string =>
  `${counted.format(number)} ${number === 1 ? noun : nouns}`;

/** A number with commas. */
export const plain = (number: number): string => counted.format(number);

/** How long something took: milliseconds below a second, then the two largest units. Clocks that disagree make no negative time. */
export function duration(ms: number): string {
  const whole = Math.max(0, Math.round(ms));
  if (whole < 1_000) return `${whole} ms`;
  if (whole < 60_000) return `${(whole / 1_000).toFixed(whole < 10_000 ? 1 : 0)} s`;
  const [first, second] = parts(Math.round(whole / 1_000)).filter(({ number }) => number > 0);
  return [first, second]
    .map((part) => (part === undefined ? '' : `${part.number} ${part.unit}`))
    .join(' ')
    .trim();
}

const parts = (seconds: number) => [
  { number: Math.floor(seconds / 86_400), unit: 'd' },
  { number: Math.floor((seconds % 86_400) / 3_600), unit: 'h' },
  { number: Math.floor((seconds % 3_600) / 60), unit: 'min' },
  { number: seconds % 60, unit: 's' },
];

const BYTES = ['B', 'kB', 'MB', 'GB', 'TB'] as const;

/** A size, in powers of a thousand as Cloudflare counts them: `385 kB`, `9.8 GB`. */
export function bytes(size: number): string {
  const step = Math.min(BYTES.length - 1, size < 1 ? 0 : Math.floor(Math.log10(size) / 3));
  const value = size / 1_000 ** step;
  return `${Number(value.toFixed(value < 10 && step > 0 ? 1 : 0))} ${BYTES[step]}`;
}

/** How much of something is used, as a percentage. What is used and rounds to nothing is `less than 1%`. */
export function share(used: number, most: number): string {
  if (most <= 0) return '0%';
  const percent = Math.round((used / most) * 100);
  return percent === 0 && used > 0 ? 'less than 1%' : `${percent}%`;
}
