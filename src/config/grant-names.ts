import * as z from 'zod';
import { containsMarkerShape } from '../kit/marker.ts';
import { containsSecret } from '../kit/redaction.ts';
import { PRESET_MAX_CHARS, SCOPE_MAX_CHARS } from './limits.ts';

// What scopes and presets may be called: once for the operator's file and for requests, so that whatever a role or a preset
// grants can be asked for, and whatever is asked for could be granted. `whoami` shows what the file says.

/** Words joined by colons, as all of PipeOps' are: `api:read`, `deployments:create`. Small letters, so that case is no question. */
const SCOPE = /^[a-z][a-z0-9_.-]*(?::[a-z0-9_.-]+)*$/;
const PRESET = /^[a-z0-9][a-z0-9_.-]*$/;

/** What is wrong with a name. `wildcard`: scopes are compared as whole strings, so a `*` would look like a pattern and be none. */
export type NameFault = 'secret' | 'marker' | 'wildcard' | 'form' | 'too_long';

/** Null: it is the name of a scope. */
export const scopeFault = (text: string): NameFault | null => faultOf(text, SCOPE, SCOPE_MAX_CHARS);

/** Null: it is the name of a preset. */
export const presetFault = (text: string): NameFault | null => faultOf(text, PRESET, PRESET_MAX_CHARS);

/**
 * The schema of text in which `faultIn` finds nothing.
 *
 * @param wording what is said of each fault, to whom it concerns.
 * @param notText what is said of anything but text.
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

/** Each once, in the order given: a set, however it is written. */
export const eachOnce = (scopes: readonly string[]): readonly string[] => [...new Set(scopes)];

function faultOf(text: string, form: RegExp, maxChars: number): NameFault | null {
  // Both are stored and shown.
  if (containsSecret(text)) return 'secret';
  if (containsMarkerShape(text)) return 'marker';
  if (text.includes('*')) return 'wildcard';
  if (!form.test(text)) return 'form';
  return text.length > maxChars ? 'too_long' : null;
}
