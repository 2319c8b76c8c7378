/**
 * A number from 0 to 1, made of one random byte: the part of a pause that is left to chance, so that isolates do not try in
 * step.
 */
export const chanceOf = (bytes: Uint8Array): number => (bytes[0] ?? 0) / 255;
