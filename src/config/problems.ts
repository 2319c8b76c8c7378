import type * as z from 'zod';
import { redact } from '../kit/redaction.ts';

/** One thing that is wrong with the configuration. It names keys, never the value of a secret. */
export interface ConfigProblem {
  /** Where: `PIPEOPS_ADMIN_TOKEN`, `policy.ts: bindings[0].claims`. */
  readonly key: string;
  readonly problem: string;
  /** A correct entry. */
  readonly example: string;
}

type Path = readonly PropertyKey[];

/**
 * Turns what a schema complains about into problems.
 *
 * @param examples a correct entry by the name of its key; a problem inside of a key without one shows its parent's.
 * @param otherwise the example where no key of the path has one.
 */
export function problemsOf(
  error: z.ZodError,
  examples: Readonly<Record<string, string>>,
  otherwise: string,
): readonly ConfigProblem[] {
  return error.issues.map((issue) => ({
    key: keyOf(issue.path),
    problem: issue.code === 'invalid_key' ? (issue.issues[0]?.message ?? issue.message) : issue.message,
    example: exampleIn(issue) ?? exampleFor(issue.path, examples) ?? otherwise,
  }));
}

/** Words for the complaints that a schema does not word itself. None repeats the input, which may be a secret. */
export function wording(issue: z.core.$ZodRawIssue): string {
  if (issue.code === 'unrecognized_keys') return `has unknown keys: ${issue.keys.map(redact).join(', ')}`;
  if (issue.input === undefined) return 'is missing';
  if (issue.code === 'invalid_type') return `is not of type ${issue.expected}`;
  if (issue.code === 'invalid_value') return `is none of ${issue.values.map(String).join(', ')}`;
  if (issue.code === 'too_small') return 'is empty';
  return issue.code === 'too_big' ? 'is too long' : 'is not valid';
}

/** `roles.ci.maxTtl`, `bindings[0].role`. A name that the operator chose may be a secret in the wrong place. */
export function keyOf(path: Path): string {
  return path
    .map((part, index) => (typeof part === 'number' ? `[${part}]` : `${index === 0 ? '' : '.'}${redact(String(part))}`))
    .join('');
}

/** A check that knows better than its key passes `params: { example }`. */
function exampleIn(issue: z.core.$ZodIssue): string | undefined {
  const example: unknown = issue.code === 'custom' ? issue.params?.['example'] : undefined;
  return typeof example === 'string' ? example : undefined;
}

function exampleFor(path: Path, examples: Readonly<Record<string, string>>): string | undefined {
  const key = path.findLast((part) => typeof part === 'string' && Object.hasOwn(examples, part));
  return typeof key === 'string' ? examples[key] : undefined;
}
