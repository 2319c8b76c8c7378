/** A create as the caller asked for it, whichever of PipeOps' three body forms it came in. */
export interface CreateRequest {
  readonly workspaceUuid: string;
  readonly name: string;
  readonly description: string | null;
  /** Null: none named (then a preset must be). */
  readonly scopes: readonly string[] | null;
  readonly preset: string | null;
  /** RFC 3339 with milliseconds, UTC. */
  readonly expiresAt: string | null;
}

/** Absent means unchanged; at least one is present. */
export interface TokenChanges {
  readonly name?: string;
  readonly description?: string;
  readonly scopes?: readonly string[];
  readonly isActive?: boolean;
}

export interface UpdateRequest {
  readonly workspaceUuid: string;
  readonly tokenId: string;
  readonly changes: TokenChanges;
}

/** A revoke takes a workspace and an id. */
export interface TokenRequest {
  readonly workspaceUuid: string;
  readonly tokenId: string;
}

/** A list takes a workspace, a get an id as well. */
export interface WorkspaceRequest {
  readonly workspaceUuid: string;
  /** `Cache-Control: no-cache` (RFC 9111 §5.2.1.4): a list that was begun just now is wanted. */
  readonly isNoCache: boolean;
}
export interface TokenReadRequest extends WorkspaceRequest {
  readonly tokenId: string;
}
