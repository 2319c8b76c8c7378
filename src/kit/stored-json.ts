/** What this service wrote into `detail` or `outcome`; nothing there: no entries. */
export const parseStored = (json: string | null): Readonly<Record<string, unknown>> =>
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only `JSON.stringify` of an object is ever stored
  json === null ? {} : (JSON.parse(json) as Record<string, unknown>);
