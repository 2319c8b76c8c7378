import * as z from 'zod';
import type { RequestFailure } from '../failures.ts';
import { err, ok, type Result } from '../kit/result.ts';
import { readFields } from './body-fields.ts';
import { createProblems } from '../kit/problems.ts';
import { readScopes, scopeList } from './scopes.ts';
import { tokenDescription, tokenName } from './text.ts';
import { readTokenId } from './token-id.ts';
import type { TokenChanges, UpdateRequest } from './types.ts';
import { readWorkspace } from './workspace.ts';

const changedScopes = scopeList.refine(
  (scopes) => scopes.length > 0,
  'Name at least one scope. To stop a token, suspend it with "is_active": false, or revoke it.',
);

const updateFields = z
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
 * Errors: `invalid_request` for a bad id, unknown fields and parameters, and a workspace that is missing, malformed or
 * given twice differently; otherwise `validation_failed`, also where nothing is to change. Either names every problem.
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
