import type * as z from 'zod';
import { redact } from '../kit/redaction.ts';

/** One thing that is wrong with the configuration. It names keys and never the value of a secret. */
export interface ConfigProblem {
  /** Where the problem is, such as `PIPEOPS_ADMIN_TOKEN` or `policy.ts: bindings[0].claims`. */
  readonly key: string;
  readonly problem: string;
  /** A correct entry. */
  readonly example: string;
}

/** What `npm run doctor` says of a configuration that the Worker might accept: a problem has to be mended, a warning only looked at. */
export interface Finding extends ConfigProblem {
  readonly severity: 'problem' | 'warning';
}

type Path = readonly PropertyKey[];

/**
 * The problems that a schema found.
 *
 * @param examples a correct entry for each key. A problem below a key that has none shows the entry of its parent.
 * @param otherwise the example for a path of which no key has an entry.
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

/** The message for an issue that a schema does not word itself. It never repeats the input, which may be a secret. */
export function wording(issue: z.core.$ZodRawIssue): string {
  if (issue.code === 'unrecognized_keys') return `has unknown keys: ${issue.keys.map(redact).join(', ')}`;
  if (issue.input === undefined) return 'is missing';
  if (issue.code === 'invalid_type') return `is not of type ${issue.expected}`;
  if (issue.code === 'invalid_value') return `is none of ${issue.values.map(String).join(', ')}`;
  if (issue.code === 'too_small') return 'is empty';
  return issue.code === 'too_big' ? 'is too long' : 'is not valid';
}

/**
 * A path in words, such as `roles.ci.maxTtl` or `bindings[0].role`. A name in it that the operator chose may be a secret in the
 * wrong place.
 */
export function keyOf(path: Path): string {
  return path
    .map((part, index) => (typeof part === 'number' ? `[${part}]` : `${index === 0 ? '' : '.'}${redact(String(part))}`))
    .join('');
}

/** The example that a check gives with `params: { example }`, which is better than that of its key. */
function exampleIn(issue: z.core.$ZodIssue): string | undefined {
  const example: unknown = issue.code === 'custom' ? issue.params?.['example'] : undefined;
  return typeof example === 'string' ? example : undefined;
}

function exampleFor(path: Path, examples: Readonly<Record<string, string>>): string | undefined {
  const key = path.findLast((part) => typeof part === 'string' && Object.hasOwn(examples, part));
  return typeof key === 'string' ? examples[key] : undefined;
}
