import type { SubjectRef } from '../package/client/types.ts';
import { UsageError } from './usage.ts';

/** Whom a command means, as it is typed. */
export interface Whom {
  readonly subject?: string | undefined;
  readonly issuer?: string | undefined;
  readonly label?: string | undefined;
}

/**
 * Reads whom a command means: `--label`, or `--subject` with its issuer.
 *
 * @param words of the command, for messages.
 * @param defaultIssuer the issuer of a subject that names none. Null: it must name one.
 * @throws UsageError
 */
export function whomOf(words: string, { subject, issuer, label }: Whom, defaultIssuer: string | null): SubjectRef {
  if (!subject === !label) throw new UsageError(`${words} needs one of --subject NAME and --label LABEL.`);
  if (!label) return ownerOf('subject', { name: subject ?? '', issuer }, defaultIssuer);
  if (issuer !== undefined) throw new UsageError('--issuer goes with --subject: a label counts at every issuer.');
  return { label };
}

/**
 * Reads a subject with its issuer. `ISSUER|SUBJECT`, which counts by actor show, names both; a subject may hold a `|` of its own, so only
 * what begins like a URL is taken for an issuer.
 *
 * @param option the one that names the subject, for messages.
 * @throws UsageError if no issuer is known.
 */
export function ownerOf(
  option: string,
  { name, issuer }: { readonly name: string; readonly issuer: string | undefined },
  defaultIssuer: string | null,
): { readonly issuer: string; readonly subject: string } {
  const [, of, rest] = issuer === undefined ? (/^(https?:[^|]*)\|(.*)$/s.exec(name) ?? []) : [];
  const named = issuer ?? of ?? defaultIssuer;
  if (named === null) throw new UsageError(`--${option} needs --issuer URL, the issuer of their JWTs.`);
  return { issuer: named, subject: rest ?? name };
}
