import type * as z from 'zod';
import type { Permission } from '../src/vocabulary.ts';
import type { FailureKind } from './failures.ts';
import type { HeaderName } from './headers.ts';

/** The parts of the API, in the order in which a reader meets them. */
export const TAGS = {
  tokens: "Service account tokens, under PipeOps' own paths and in its envelope.",
  trail: 'The audit trail. Reading it is itself in the trail.',
  webhooks: 'Revocation by signed webhook, and what came of it.',
  incidents: 'What a person does in an incident: revoke, offboard, reinstate, and see who is blocked.',
  service: 'Who the caller is, and how the service is.',
  console: 'How people sign in to the console, and out again.',
} as const;
export type Tag = keyof typeof TAGS;

export interface Parameter {
  readonly in: 'path' | 'query' | 'header';
  readonly name: string;
  readonly description: string;
  /** Of a list: its items stand in one value, with commas between them. */
  readonly schema: z.ZodType;
  readonly example: unknown;
  /** Default: a path's is, and no other. */
  readonly required?: boolean;
}

export interface Body {
  readonly description: string;
  readonly schema: z.ZodType;
  /** Whether it may be left out. */
  readonly isOptional?: boolean;
  /** By name. */
  readonly examples: Readonly<Record<string, unknown>>;
}

export interface Success {
  readonly status: 200 | 201 | 202 | 302;
  readonly description: string;
  /** Headers that this answer may have, beside those that every answer has. */
  readonly headers?: readonly HeaderName[];
  /** JSON, or other media types with what they hold. Null: it has no body. */
  readonly content: { readonly schema: z.ZodType; readonly examples: Readonly<Record<string, unknown>> } | Texts | null;
}

interface Texts {
  readonly texts: Readonly<Record<string, Text>>;
}

type Text =
  | {
      readonly description: string;
      readonly example: string;
      /** What each line is, where lines are JSON. */
      readonly line?: z.ZodType;
    }
  /** Bytes that are no text. */
  | { readonly description: string; readonly isBinary: true };

/** One operation of the API: a row of the table of routes. */
export interface Operation {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** The path as the router knows it. */
  readonly pattern: string;
  /** What generated clients call it. */
  readonly id: string;
  readonly tag: Tag;
  readonly summary: string;
  readonly description: string;
  /** Who may use it: anyone, any caller, whoever has a permission, a sender of webhooks, or a browser session. */
  readonly access: 'anyone' | 'caller' | 'sender' | 'session' | Permission;
  /** Whether an answer may name an event of the trail. */
  readonly isRecorded: boolean;
  readonly parameters: readonly Parameter[];
  readonly body?: Body;
  readonly successes: readonly [Success, ...Success[]];
  /** How it may fail beside what `access` brings along. */
  readonly failures: readonly FailureKind[];
}

/** Whether an operation needs a caller: a JWT, or a browser session. */
export const needsCaller = ({ access }: Pick<Operation, 'access'>): boolean =>
  access !== 'anyone' && access !== 'sender' && access !== 'session';
