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

/** List takes a workspace; get and revoke a workspace and an id. */
export interface WorkspaceRequest {
  readonly workspaceUuid: string;
}
export interface TokenRequest extends WorkspaceRequest {
  readonly tokenId: string;
}
