// How Go's encoding/json reads into a struct, as far as PipeOps' SDK depends on it: a key that is absent or null leaves the zero value,
// one of another type is an error, and a key that the struct does not name is passed over.

export class DecodeError extends Error {}

export type Field<T> = (value: unknown, path: string) => T;
type Struct<T> = { readonly [Key in keyof T]: Field<T[Key]> };

const typed =
  <T>(zero: T, isOfType: (value: unknown) => value is T): Field<T> =>
  (value, path) => {
    if (value === undefined || value === null) return zero;
    if (isOfType(value)) return value;
    throw new DecodeError(`json: cannot unmarshal ${typeof value} into ${path}`);
  };

export const text = typed('', (value) => typeof value === 'string');
export const flag = typed(false, (value) => typeof value === 'boolean');
export const int = typed(0, (value): value is number => Number.isInteger(value));

export const list =
  <T>(item: Field<T>): Field<readonly T[]> =>
  (value, path) => {
    if (value === undefined || value === null) return [];
    if (!Array.isArray(value)) throw new DecodeError(`json: cannot unmarshal ${typeof value} into ${path}`);
    return value.map((entry, index) => item(entry, `${path}[${index}]`));
  };

export const struct =
  <T>(fields: Struct<T>): Field<T> =>
  (value, path) => {
    const given = value ?? {};
    if (typeof given !== 'object' || Array.isArray(given)) {
      throw new DecodeError(`json: cannot unmarshal ${typeof given} into ${path}`);
    }
    const entries = Object.entries<Field<unknown>>(fields).map(([name, read]) => [
      name,
      read(Reflect.get(given, name), `${path}.${name}`),
    ]);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- one entry for each field of T
    return Object.fromEntries(entries) as T;
  };

/** The layouts of the SDK's `Timestamp`; null and "" leave none. */
const LAYOUTS = [/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/];
export const timestamp: Field<Date | null> = (value, path) => {
  if (value === undefined || value === null || value === '') return null;
  if (typeof value === 'string' && LAYOUTS.some((layout) => layout.test(value))) return new Date(value);
  throw new DecodeError(`could not parse time: ${path}`);
};
