import type { RequestFailure } from '../failures.ts';
import { err, ok, type Result } from '../kit/result.ts';
import { createProblems } from '../kit/problems.ts';
import { readTokenId, readWorkspace } from './fields.ts';
import type { TokenRequest, WorkspaceRequest } from './types.ts';

export { parseCreate, parseUpdate } from './bodies.ts';

/** Reads a get or a revoke. Errors: `invalid_request`, naming every problem. */
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

/** Reads a list. Errors: `invalid_request`, naming every problem. */
export function parseWorkspaceRequest(input: {
  readonly query: URLSearchParams;
  readonly defaultWorkspaceUuid: string | null;
}): Result<Pick<WorkspaceRequest, 'workspaceUuid'>, RequestFailure> {
  const problems = createProblems();
  const workspaceUuid = readWorkspace(input.query, {}, input.defaultWorkspaceUuid, problems);
  if (problems.any() || workspaceUuid === null) return err(problems.failure());
  return ok({ workspaceUuid });
}
