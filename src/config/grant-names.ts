import * as z from 'zod';
import { containsMarkerShape } from '../kit/marker.ts';
import { containsSecret } from '../kit/redaction.ts';
import { PRESET_MAX_CHARS, SCOPE_MAX_CHARS } from './limits.ts';

// The names that scopes and presets may have. The operator's file and requests share these rules, so that whatever a role or a
// preset grants can be asked for, and whatever is asked for could be granted. `whoami` shows what the file says.

/**
 * Words joined by colons, as all scopes of PipeOps are: `api:read`, `deployments:create`. Letters are small, so that case is no
 * question.
 */
export const SCOPE = /^[a-z][a-z0-9_.-]*(?::[a-z0-9_.-]+)*$/;
export const PRESET = /^[a-z0-9][a-z0-9_.-]*$/;

/**
 * The scopes and presets that PipeOps is known to have: those of its SDK, its CLI and its documents. PipeOps publishes no list, so
 * another one may exist and is no error.
 */
export const KNOWN_SCOPES: readonly string[] = [
  'api:read',
  'api:write',
  'api:full',
  'projects:read',
  'projects:write',
  'deployments:create',
  'deployments:write',
];
export const KNOWN_PRESETS: readonly string[] = ['sandbox', 'mcp', 'sdk', 'platform'];
/** The scope that allows everything. */
export const FULL_SCOPE = 'api:full';

/** What is wrong with a name. A `wildcard` would look like a pattern and be none, since scopes are compared as whole strings. */
export type NameFault = 'secret' | 'marker' | 'wildcard' | 'form' | 'too_long';

/** What is wrong with the name of a scope; null if nothing is. */
export const scopeFault = (text: string): NameFault | null => faultOf(text, SCOPE, SCOPE_MAX_CHARS);

/** What is wrong with the name of a preset; null if nothing is. */
export const presetFault = (text: string): NameFault | null => faultOf(text, PRESET, PRESET_MAX_CHARS);

/**
 * The schema of a name in which `faultIn` finds no fault.
 *
 * @param wording the message for each fault. Operators and callers are told in different words.
 * @param notText the message for a value that is no text.
 */
export const grantName = (
  faultIn: (text: string) => NameFault | null,
  wording: Readonly<Record<NameFault, string>>,
  notText?: string,
) =>
  z.string(notText).superRefine((text, context) => {
    const fault = faultIn(text);
    if (fault !== null) context.addIssue({ code: 'custom', message: wording[fault] });
  });

/** The scopes as a set: each once, in the order given. */
export const eachOnce = (scopes: readonly string[]): readonly string[] => [...new Set(scopes)];

function faultOf(text: string, form: RegExp, maxChars: number): NameFault | null {
  // Names are stored and shown, so they can be neither a secret nor a marker.
  if (containsSecret(text)) return 'secret';
  if (containsMarkerShape(text)) return 'marker';
  if (text.includes('*')) return 'wildcard';
  if (!form.test(text)) return 'form';
  return text.length > maxChars ? 'too_long' : null;
}
