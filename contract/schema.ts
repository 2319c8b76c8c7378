import * as z from 'zod';

// What the document says of a schema beside its type. It is kept in a registry of its own and not in the `.meta` of the schemas, some of
// which are those that the Worker validates with: so the Worker carries none of it.

/** A description, and keywords of JSON Schema that zod cannot know, such as the `pattern` of what a refinement checks. */
export interface Words {
  readonly [keyword: string]: unknown;
  /** The name of a schema that stands by itself in `components`. */
  readonly id?: string;
  readonly description?: string;
}

export const words = z.registry<Words>();

/** The objects of requests, where a field that is not known is an error. Those of answers may get new fields at any time. */
const closed = new WeakSet<z.core.$ZodType>();

/** Gives a schema a description, and keywords that zod cannot know. */
export function say<S extends z.ZodType>(schema: S, description: string, keywords: Words = {}): S {
  words.add(schema, { description, ...keywords });
  return schema;
}

/** Gives a schema a name in `components`. Whatever uses it refers to it. */
export const component = <S extends z.ZodType>(id: string, schema: S, description: string, keywords: Words = {}): S =>
  say(schema, description, { id, ...keywords });

/** An object of a request, which takes these fields and no others. */
export function requestObject<Shape extends z.core.$ZodShape>(shape: Shape) {
  const schema = z.strictObject(shape);
  closed.add(schema);
  return schema;
}

/** A time as this service writes it: RFC 3339 with milliseconds, in UTC. */
export const time = () => z.iso.datetime({ precision: 3 });
/** An id that this service gave. */
export const uuid = () => z.guid();
export const count = () => z.int().min(0);

/** The body of a success, in PipeOps' envelope. */
export const success = <S extends z.ZodType>(data: S) =>
  z.strictObject({
    success: z.literal(true),
    message: say(z.string(), 'A sentence for people. Programs should not read it.'),
    data,
  });

/** The body of a page of a list. */
export const page = <S extends z.ZodType, Shape extends z.core.$ZodShape>(item: S, more: Shape) =>
  success(z.array(item)).extend({
    pagination: z.strictObject({
      next_cursor: say(z.string().nullable(), 'The `cursor` of the next page. Null: this is the last one.'),
      ...more,
    }),
  });

type Json = Record<string, unknown>;

/** The schemas of `components`, by name. */
export function componentSchemas(): Record<string, Json> {
  const { schemas } = z.toJSONSchema(words, { ...OPTIONS, uri: (id) => `#/components/schemas/${id}` });
  return Object.fromEntries(
    Object.entries(schemas)
      .toSorted(([one], [other]) => (one < other ? -1 : 1))
      .map(([id, schema]) => [id, clean(schema)]),
  );
}

/** The JSON Schema of a schema that stands where it is used, such as that of a parameter. */
export function inlineSchema(schema: z.ZodType): Json {
  const id = words.get(schema)?.id;
  return id === undefined ? clean(z.toJSONSchema(schema, OPTIONS)) : { $ref: `#/components/schemas/${id}` };
}

const OPTIONS = {
  metadata: words,
  io: 'input',
  override: ({ zodSchema, jsonSchema }) => tidy(zodSchema, jsonSchema),
} as const satisfies z.core.ToJSONSchemaParams;

/** Takes out what zod adds and no reader needs. */
function tidy(zodSchema: z.core.$ZodType, json: z.core.JSONSchema.BaseSchema): void {
  if (json.additionalProperties === false && !closed.has(zodSchema)) delete json.additionalProperties;
  // A known format says more than the regular expression that zod writes beside it.
  if (json.format === 'date-time' || json.format === 'uuid') delete json.pattern;
  if (json.maximum === Number.MAX_SAFE_INTEGER) delete json.maximum;
  if (json.minimum === Number.MIN_SAFE_INTEGER) delete json.minimum;
  if (JSON.stringify(json.propertyNames) === '{"type":"string"}') delete json.propertyNames;
}

const clean = ({ $schema: _dialect, $id: _id, id: _name, ...schema }: Json): Json => schema;
