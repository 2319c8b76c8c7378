import * as z from 'zod';
import { WEBHOOK_PROBLEMS_MAX_COUNT } from '../../config/limits.ts';
import type { RequestFailure } from '../../failures.ts';
import { createProblems } from '../../kit/problems.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import { byteLength } from '../../kit/caps.ts';
import { containsSecret } from '../../kit/redaction.ts';

/** An object with these fields. Others are passed over: they say nothing about what is ordered. */
export const object = <Shape extends z.core.$ZodShape>(shape: Shape) =>
  z.object(shape, { error: (issue) => given(issue, 'Use an object.') });

/** A list that is not empty. */
export const list = <Item extends z.ZodType>(item: Item) =>
  z.array(item, { error: (issue) => given(issue, 'Use a list.') }).min(1, 'Name at least one.');

export const text = () => z.string({ error: (issue) => given(issue, 'Use text.') });

/** Text that is stored, and compared with what is. */
export const storedText = (maxBytes: number) =>
  text()
    .refine((value) => value !== '', 'Use text that is not empty.')
    .refine((value) => byteLength(value) <= maxBytes, `Use at most ${maxBytes} bytes of UTF-8.`)
    .refine((value) => value.isWellFormed(), 'Use well-formed Unicode, without lone surrogates.')
    .refine((value) => !containsSecret(value), 'Leave out what looks like a token or a JWT: this text is stored.');

/** Absent, or null as many serialisers write it: null. */
export const optional = <Value extends z.ZodType>(value: Value) => value.nullish().transform((read) => read ?? null);

/** A field that would order something else than the others do: absent, or null. */
export const leftOut = (message: string) => z.null({ error: message }).optional();

/**
 * Reads what a sender sent. Fails with `invalid_request`, naming each field by its path, such as `data.tokens[3].sha256`;
 * `body` is the whole. No message quotes a value or a name that is not ours.
 */
export function readFields<S extends z.ZodType>(schema: S, value: unknown): Result<z.output<S>, RequestFailure> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return ok(parsed.data);
  const problems = createProblems();
  const named = new Set<string>();
  for (const { path, message } of parsed.error.issues) {
    const field = pathText(path);
    if (named.size === WEBHOOK_PROBLEMS_MAX_COUNT && !named.has(field)) break;
    named.add(field);
    problems.misunderstood(field, message);
  }
  return err(problems.failure());
}

const given = ({ input }: { readonly input?: unknown }, message: string): string =>
  input === undefined ? 'Give this field.' : message;

const pathText = (path: readonly PropertyKey[]): string =>
  path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
    .join('')
    .replace(/^\./, '') || 'body';
