import * as fc from 'fast-check';
import * as z from 'zod';
import { componentSchemas } from '../../contract/schema.ts';
import { encodeCursor } from '../../src/http/query.ts';
import { encodePlace } from '../../src/inventory/query/params.ts';
import { encodeKey } from '../../src/subjects/query/routes.ts';

// Values made from the JSON Schemas of the document: what a reader of it may send, and what it says is refused.

export type Schema = Readonly<Record<string, unknown>>;

const components = componentSchemas();

export function componentOf(name: string): Schema {
  const schema = components[name];
  if (schema === undefined) throw new Error(`The document has no schema ${name}.`);
  return schema;
}

/** The schema itself, behind whatever refers to it. */
export function resolved(schema: Schema): Schema {
  const { $ref } = schema;
  return typeof $ref === 'string' ? resolved(componentOf($ref.split('/').at(-1)!)) : schema;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const schemasIn = (value: unknown): readonly Schema[] => (Array.isArray(value) ? (value as Schema[]) : []);
export const propertiesOf = (schema: Schema) => (schema['properties'] ?? {}) as Readonly<Record<string, Schema>>;
const requiredIn = (schema: Schema) => (schema['required'] ?? []) as readonly string[];

const TYPES: Readonly<Record<string, (value: unknown) => boolean>> = {
  string: (value) => typeof value === 'string',
  integer: (value) => Number.isInteger(value),
  boolean: (value) => typeof value === 'boolean',
  null: (value) => value === null,
  array: (value) => Array.isArray(value),
  object: isObject,
};

/** Whether a value is valid under a schema, as far as the schemas of requests use JSON Schema. */
export function isValid(schema: Schema, value: unknown): boolean {
  const s = resolved(schema);
  const number = (name: string, otherwise: number): number => (s[name] as number | undefined) ?? otherwise;
  const properties = propertiesOf(s);
  return [
    () => s['type'] === undefined || [s['type']].flat().some((type) => TYPES[type as string]!(value)),
    () => s['const'] === undefined || s['const'] === value,
    () => !Array.isArray(s['enum']) || s['enum'].includes(value),
    () => s['anyOf'] === undefined || schemasIn(s['anyOf']).some((one) => isValid(one, value)),
    () => schemasIn(s['allOf']).every((one) => isValid(one, value)),
    () => !isObject(s['not']) || !isValid(s['not'], value),
    () => typeof value !== 'string' || isValidText(s, value),
    () => typeof value !== 'number' || (value >= number('minimum', -Infinity) && value <= number('maximum', Infinity)),
    () =>
      !Array.isArray(value) ||
      (value.length >= number('minItems', 0) &&
        value.length <= number('maxItems', Infinity) &&
        value.every((item) => !isObject(s['items']) || isValid(s['items'], item))),
    () =>
      !isObject(value) ||
      (requiredIn(s).every((name) => Object.hasOwn(value, name)) &&
        Object.entries(value).every(([name, field]) => {
          const property = properties[name];
          return property === undefined ? s['additionalProperties'] !== false : isValid(property, field);
        })),
  ].every((holds) => holds());
}

const isTime = (text: string): boolean => z.iso.datetime({ offset: true }).safeParse(text).success;

function isValidText(schema: Schema, text: string): boolean {
  const { pattern, minLength = 0, maxLength = Infinity, format } = schema;
  return (
    (typeof pattern !== 'string' || new RegExp(pattern, 'u').test(text)) &&
    Array.from(text).length >= (minLength as number) &&
    Array.from(text).length <= (maxLength as number) &&
    (format !== 'date-time' || isTime(text)) &&
    (format !== 'uuid' || z.guid().safeParse(text).success)
  );
}

const text = (characters: string, maxLength: number) =>
  fc
    .string({ unit: fc.constantFrom(...Array.from(characters)), minLength: 1, maxLength })
    .filter((one) => one.trim() === one);

/** What a format says in words: what no keyword of JSON Schema can. The lengths keep within the limits in bytes. */
const FORMATS: Readonly<Record<string, () => fc.Arbitrary<string>>> = {
  'token-name': () => text(`aZ09 _-.:/'"ä日✓🚀`, 24),
  'token-description': () => text('aZ09 _-.:/\n\tä日✓🚀', 100),
  'stored-text': () => text('aZ09 _-.:/@|ä日🚀', 30),
  actor: () => text('aZ09 _-.:/@|ä日🚀', 60),
  cursor: () => fc.nat().map(encodeCursor),
  'subject-cursor': () => fc.record({ issuer: text('aZ09:/.', 20), subject: text('aZ09ä', 20) }).map(encodeKey),
  'inventory-cursor': () =>
    fc
      .tuple(fc.uuid(), fc.uuid())
      .map(([workspaceUuid, tokenId]) => encodePlace({ workspaceUuid, tokenId, dueMs: null })),
  uuid: () => fc.uuid(),
  'date-time': () =>
    fc
      .date({
        min: new Date(Date.now() + 3_600_000),
        max: new Date(Date.now() + 9 * 31_536_000_000),
        noInvalidDate: true,
      })
      .map((date) => date.toISOString()),
  'duration-ahead': () =>
    fc.oneof(
      ...Object.entries({ s: 315_360_000, m: 5_256_000, h: 87_600, d: 3_650, w: 521 }).map(([unit, max]) =>
        fc.integer({ min: 1, max }).map((count) => `${count}${unit}`),
      ),
    ),
};

/** Values that are valid under a schema. */
export function valid(schema: Schema): fc.Arbitrary<unknown> {
  const s = resolved(schema);
  const { type, format, pattern } = s;
  if (s['const'] !== undefined) return fc.constant(s['const']);
  if (Array.isArray(s['enum'])) return fc.constantFrom(...(s['enum'] as unknown[]));
  if (Array.isArray(type)) return fc.oneof(...type.map((one: unknown) => valid({ ...s, type: one })));
  if (type === 'object') return validObject(s);
  if (s['anyOf'] !== undefined) return fc.oneof(...schemasIn(s['anyOf']).map(valid));
  if (typeof format === 'string') return FORMATS[format]!();
  if (typeof pattern === 'string') {
    return fc.stringMatching(new RegExp(pattern)).filter((one) => isValidText(s, one));
  }
  if (type === 'string') return text('aZ09 _-.', 20);
  if (type === 'boolean') return fc.boolean();
  if (type === 'null') return fc.constant(null);
  if (type === 'integer') return fc.integer({ min: s['minimum'] as number, max: s['maximum'] as number });
  if (type === 'array') {
    const { minItems = 0, maxItems = 5 } = s as { minItems?: number; maxItems?: number };
    return fc.array(valid(s['items'] as Schema), { minLength: minItems, maxLength: Math.min(maxItems, 5) });
  }
  throw new Error(`No values are known for ${JSON.stringify(s)}.`);
}

function validObject(schema: Schema): fc.Arbitrary<unknown> {
  const properties = Object.entries(propertiesOf(schema)).map(([name, property]) => [name, valid(property)] as const);
  return fc
    .record(Object.fromEntries(properties), { requiredKeys: [...requiredIn(schema)] })
    .filter((value) => isValid(schema, value));
}

/** Values of every kind, some of which no schema takes. Empty text is left out: in an optional field it may mean that none is given. */
const anything = fc.oneof(
  fc.constantFrom<unknown>(0, -1, 1.5, 1e9, true, false, [], {}, ['*'], [1], ['api:read', 'A B'], { description: 1 }),
  fc.constantFrom('*', ' ', 'A B', 'a'.repeat(600), 'yesterday', '2027-02-30T00:00:00Z', '30 days', '\u0000'),
  fc.string({ minLength: 1 }),
  fc.array(fc.constant('api:read'), { minLength: 17, maxLength: 20 }),
);

/** Objects that are valid but for one thing: a field's value, a field that is missing, or one that is not known. */
export function invalidObject(schema: Schema): fc.Arbitrary<unknown> {
  const s = resolved(schema);
  const names = Object.keys(propertiesOf(s));
  const spoiled = fc
    .tuple(validObject(s), fc.constantFrom(...names), anything)
    .map(([value, name, wrong]) => ({ ...(value as object), [name]: wrong }));
  const without = fc
    .tuple(validObject(s), fc.subarray(names, { minLength: 1 }))
    .map(([value, gone]) =>
      Object.fromEntries(Object.entries(value as object).filter(([name]) => !gone.includes(name))),
    );
  const unknown = fc
    .tuple(validObject(s), fc.stringMatching(/^[a-z_]{1,12}$/), anything)
    .map(([value, name, more]) => ({ [name]: more, ...(value as object) }));
  return fc.oneof(spoiled, without, unknown).filter((value) => !isValid(s, value));
}
