/** `BENCH_QUICK=1`: a run that shows that everything works. Its figures say nothing. */
export const QUICK = process.env['BENCH_QUICK'] === '1';

/** How much of something a run takes: `few` of a quick one. */
export const sized = (full: number, few: number): number => (QUICK ? few : full);
