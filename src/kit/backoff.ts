/** From 0 to 1, made of a random byte. */
export const chanceOf = (bytes: Uint8Array): number => (bytes[0] ?? 0) / 255;
