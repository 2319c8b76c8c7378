import * as z from 'zod';
import { OVERLAP_DEFAULT_SECONDS } from '../config/aging-limits.ts';
import type { RequestFailure } from '../failures.ts';
import { isObject } from '../kit/json.ts';
import { createProblems, type Problems } from '../kit/problems.ts';
import { err, ok, type Result } from '../kit/result.ts';
import { durationSeconds } from '../kit/time.ts';
import {
  expiryFields,
  presetName,
  readExpiry,
  readFields,
  readScopes,
  readTokenId,
  readWorkspace,
  type ScopeFields,
  scopeList,
  tokenDescription,
  tokenName,
} from './fields.ts';

// The requests of the five operations, and how each is read from its parameters and its body.

/** A create as the caller asked for it, whichever of PipeOps' three body forms it came in. */
export interface CreateRequest {
  readonly workspaceUuid: string;
  readonly name: string;
  readonly description: string | null;
  /** Null: none is named, so a preset is. */
  readonly scopes: readonly string[] | null;
  readonly preset: string | null;
  /** RFC 3339 with milliseconds, UTC. */
  readonly expiresAt: string | null;
}

export interface UpdateRequest {
  readonly workspaceUuid: string;
  readonly tokenId: string;
  readonly changes: TokenChanges;
}

/** What is absent stays as it is. At least one is present. */
export interface TokenChanges {
  readonly name?: string;
  readonly description?: string;
  readonly scopes?: readonly string[];
  readonly isActive?: boolean;
}

/** A rotation. */
export interface RotateRequest extends TokenRequest {
  /** How long the token lives on beside its successor. */
  readonly overlapSeconds: number;
  /** RFC 3339 with milliseconds, UTC; null: the successor lives as long as the token was to live. */
  readonly expiresAt: string | null;
}

/** A revoke. */
export interface TokenRequest {
  readonly workspaceUuid: string;
  readonly tokenId: string;
}

/** A list. */
export interface WorkspaceRequest {
  readonly workspaceUuid: string;
  /** `Cache-Control: no-cache` (RFC 9111 §5.2.1.4): the caller wants a list that was begun just now. */
  readonly isNoCache: boolean;
}

/** A get. */
export interface TokenReadRequest extends WorkspaceRequest {
  readonly tokenId: string;
}

export const metadataFields = z.object({ description: tokenDescription }).partial();

/** The fields of all three forms of PipeOps: its CLI's, its Go SDK's and the documented one. */
export const createFields = z
  .object({
    name: tokenName,
    workspace_uuid: z.string('Use text.'),
    workspace: z.string('Use text.'),
    description: tokenDescription,
    metadata: z.custom<Readonly<Record<string, unknown>>>(isObject, 'Use an object with "description".'),
    scopes: scopeList,
    permissions: scopeList,
    preset: presetName,
    ...expiryFields,
  })
  .partial();

/**
 * Reads a create, in any of the three forms that PipeOps' clients and documentation use.
 *
 * Fails with `invalid_request` for unknown fields and parameters and for a workspace that is missing, malformed or given
 * twice differently; otherwise with `validation_failed`. Either names every problem found.
 */
export function parseCreate(input: {
  readonly body: Readonly<Record<string, unknown>>;
  readonly query: URLSearchParams;
  readonly defaultWorkspaceUuid: string | null;
  readonly nowMs: number;
}): Result<CreateRequest, RequestFailure> {
  const { body, query, defaultWorkspaceUuid, nowMs } = input;
  const problems = createProblems();
  const fields = readFields(body, createFields, problems);
  const metadata = readFields(fields.metadata ?? {}, metadataFields, problems, 'metadata.');

  const { name, preset = null } = fields;
  if (name === undefined && !problems.has('name')) problems.unacceptable('name', 'Give the token a name.');
  const workspaceUuid = readWorkspace(query, fields, defaultWorkspaceUuid, problems);
  const description = readDescription(fields.description, metadata.description, problems);
  const scopes = readGrant(fields, problems);
  const expiresAt = readExpiry(fields, nowMs, problems);

  if (problems.any() || workspaceUuid === null || name === undefined) return err(problems.failure());
  return ok({ workspaceUuid, name, description, scopes, preset, expiresAt });
}

function readDescription(own: string | undefined, inMetadata: string | undefined, problems: Problems): string | null {
  if (own !== undefined && inMetadata !== undefined && own !== inMetadata) {
    const message = 'Give "description" or "metadata.description", or the same text in both.';
    problems.unacceptable('description', message);
    problems.unacceptable('metadata.description', message);
  }
  return own ?? inMetadata ?? null;
}

/** Reads the scopes or the preset. A token without any scope has no use, and nobody knows what PipeOps would make of none. */
function readGrant(
  fields: ScopeFields & { readonly preset?: string | undefined },
  problems: Problems,
): readonly string[] | null {
  const scopes = readScopes(fields, problems) ?? [];
  const unreadable = ['scopes', 'permissions', 'preset'].some((field) => problems.has(field));
  if (scopes.length === 0 && fields.preset === undefined && !unreadable) {
    problems.unacceptable('scopes', 'Name at least one scope or a preset.');
  }
  return scopes.length === 0 ? null : scopes;
}

export const changedScopes = scopeList.refine(
  (scopes) => scopes.length > 0,
  'Name at least one scope. To stop a token, suspend it with "is_active": false, or revoke it.',
);

export const updateFields = z
  .object({
    workspace_uuid: z.string('Use text.'),
    workspace: z.string('Use text.'),
    name: tokenName,
    description: tokenDescription,
    scopes: changedScopes,
    permissions: changedScopes,
    is_active: z.boolean('Use true or false.'),
  })
  .partial();

/**
 * Reads an update. What is absent or null stays as it is.
 *
 * Fails with `invalid_request` for a bad id, unknown fields and parameters, and a workspace that is missing, malformed or
 * given twice differently; otherwise with `validation_failed`, also where nothing is to change. Either names every problem.
 */
export function parseUpdate(input: {
  readonly id: string;
  readonly body: Readonly<Record<string, unknown>>;
  readonly query: URLSearchParams;
  readonly defaultWorkspaceUuid: string | null;
}): Result<UpdateRequest, RequestFailure> {
  const { id, body, query, defaultWorkspaceUuid } = input;
  const problems = createProblems();
  const tokenId = readTokenId(id, problems);
  const fields = readFields(body, updateFields, problems);
  const workspaceUuid = readWorkspace(query, fields, defaultWorkspaceUuid, problems);

  const { name, description, is_active: isActive } = fields;
  const scopes = readScopes(fields, problems);
  const changes: TokenChanges = {
    ...(name !== undefined && { name }),
    ...(description !== undefined && { description }),
    ...(scopes !== undefined && { scopes }),
    ...(isActive !== undefined && { isActive }),
  };
  if (Object.keys(changes).length === 0 && !problems.any()) {
    problems.unacceptable('body', 'Name at least one change: name, description, scopes or is_active.');
  }

  if (problems.any() || workspaceUuid === null || tokenId === null) return err(problems.failure());
  return ok({ workspaceUuid, tokenId, changes });
}

const OVERLAP_FORM = 'Use "0s", or a whole number and s, m, h, d or w, such as "24h".';

export const rotateFields = z
  .object({
    workspace_uuid: z.string('Use text.'),
    workspace: z.string('Use text.'),
    overlap: z.string(OVERLAP_FORM).refine((text) => durationSeconds(text) !== null, OVERLAP_FORM),
    ...expiryFields,
  })
  .partial();

/**
 * Reads a rotation. Without an overlap the token lives on for OVERLAP_DEFAULT_SECONDS.
 *
 * Fails with `invalid_request` for a bad id, unknown fields and parameters, and a workspace that is missing, malformed or given twice
 * differently; otherwise with `validation_failed`. Either names every problem.
 */
export function parseRotate(input: {
  readonly id: string;
  readonly body: Readonly<Record<string, unknown>>;
  readonly query: URLSearchParams;
  readonly defaultWorkspaceUuid: string | null;
  readonly nowMs: number;
}): Result<RotateRequest, RequestFailure> {
  const { id, body, query, defaultWorkspaceUuid, nowMs } = input;
  const problems = createProblems();
  const tokenId = readTokenId(id, problems);
  const fields = readFields(body, rotateFields, problems);
  const workspaceUuid = readWorkspace(query, fields, defaultWorkspaceUuid, problems);
  const expiresAt = readExpiry(fields, nowMs, problems);
  if (problems.any() || workspaceUuid === null || tokenId === null) return err(problems.failure());
  const { overlap } = fields;
  const overlapSeconds = overlap === undefined ? OVERLAP_DEFAULT_SECONDS : Number(durationSeconds(overlap));
  return ok({ workspaceUuid, tokenId, overlapSeconds, expiresAt });
}

/** Reads a get or a revoke. Fails with `invalid_request`, which names every problem. */
export function parseTokenRequest(input: {
  readonly id: string;
  readonly query: URLSearchParams;
  readonly defaultWorkspaceUuid: string | null;
}): Result<TokenRequest, RequestFailure> {
  const problems = createProblems();
  const tokenId = readTokenId(input.id, problems);
  const workspaceUuid = readWorkspace(input.query, {}, input.defaultWorkspaceUuid, problems);
  if (problems.any() || workspaceUuid === null || tokenId === null) return err(problems.failure());
  return ok({ workspaceUuid, tokenId });
}

/** Reads a list. Fails with `invalid_request`, which names every problem. */
export function parseWorkspaceRequest(input: {
  readonly query: URLSearchParams;
  readonly defaultWorkspaceUuid: string | null;
}): Result<Pick<WorkspaceRequest, 'workspaceUuid'>, RequestFailure> {
  const problems = createProblems();
  const workspaceUuid = readWorkspace(input.query, {}, input.defaultWorkspaceUuid, problems);
  if (problems.any() || workspaceUuid === null) return err(problems.failure());
  return ok({ workspaceUuid });
}
