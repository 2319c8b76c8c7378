import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import * as z from 'zod';
import type { Commit, TokenState } from './faults-wire.ts';
import { isExpired, tokenPrefix } from './wire.ts';

const commit = z.object({
  at: z.string(),
  operation: z.enum(['create', 'update', 'revoke']),
  event_id: z.string().nullable(),
});

const storedToken = z.object({
  id: z.string(),
  workspace_uuid: z.string(),
  name: z.string(),
  description: z.string().nullable(),
  scopes: z.array(z.string()),
  secret: z.string(),
  is_revoked: z.boolean(),
  is_active: z.boolean(),
  expires_at: z.string().nullable(),
  created_at: z.string(),
  updated_at: z.string(),
  // A file from before this was kept knows of no use.
  last_used_at: z.string().nullable().default(null),
  commits: z.array(commit),
});
const stateFile = z.object({ tokens: z.array(storedToken) });

export type StoredToken = Readonly<z.infer<typeof storedToken>>;

/** A change that is not made, because the disk does not take it. Its message is for whoever runs the simulator. */
export class UnkeptError extends Error {
  override readonly name = 'UnkeptError';
}

/** A token as it was from `change` on, the number of the change that made it so. */
interface Version {
  readonly change: number;
  readonly atMs: number;
  readonly token: StoredToken;
}

/** A moment of the past, by the clock or by the number of changes up to then. */
export type Moment = { readonly ms: number } | { readonly change: number };

export type State = ReturnType<typeof openState>;

/**
 * The tokens of every workspace. What `put` has returned from survives a SIGKILL, if there is a file.
 *
 * @param file where they are kept; null: only in memory.
 * @throws if the file is there and cannot be read.
 */
export function openState(file: string | null) {
  // By workspace as well, or a list would cost more with every other test's tokens.
  const byId = new Map<string, StoredToken>();
  const byWorkspace = new Map<string, Map<string, StoredToken>>();

  // Of this process: what was read from the file has always been so.
  const versions = new Map<string, Version[]>();
  let changes = 0;

  const hold = (token: StoredToken, atMs = Number.NEGATIVE_INFINITY): void => {
    byId.set(token.id, token);
    const known = versions.get(token.id) ?? [];
    known.push({ change: changes, atMs, token });
    versions.set(token.id, known);
    const workspace = byWorkspace.get(token.workspace_uuid) ?? new Map<string, StoredToken>();
    byWorkspace.set(token.workspace_uuid, workspace.set(token.id, token));
  };
  for (const token of file === null ? [] : readTokens(file)) hold(token);

  return {
    /** Undefined: no such token, or in another workspace. Revoked tokens are found too. */
    find: (id: string, workspaceUuid: string | null = null): StoredToken | undefined => {
      const token = byId.get(id);
      return workspaceUuid === null || token?.workspace_uuid === workspaceUuid ? token : undefined;
    },
    /** In the order of their creation; null: of every workspace. */
    list: (workspaceUuid: string | null): readonly StoredToken[] => [
      ...(workspaceUuid === null ? byId : (byWorkspace.get(workspaceUuid) ?? new Map<string, StoredToken>())).values(),
    ],
    /** A token as it was then; undefined: it was not there. */
    asOf: (id: string, moment: Moment): StoredToken | undefined =>
      versions.get(id)?.findLast(({ change, atMs }) => ('ms' in moment ? atMs <= moment.ms : change <= moment.change))
        ?.token,
    /** How many changes there were. */
    changes: (): number => changes,
    workspaces: (): readonly string[] => [...byWorkspace.keys()],
    /** Notes that a token was used, or what PipeOps says of that from now on. It is no change of the token. */
    use: (token: StoredToken, lastUsedAt: string | null, nowMs: number): StoredToken => {
      const used = { ...token, last_used_at: lastUsedAt };
      if (file !== null) writeTokens(file, [...new Map(byId).set(used.id, used).values()]);
      changes += 1;
      hold(used, nowMs);
      return used;
    },
    /** Adds or replaces a token, and records why; gives it as it now is. */
    put: (token: StoredToken, made: Commit): StoredToken => {
      const put = { ...token, commits: [...token.commits, made] };
      // First to the disk: what is not kept has not happened.
      if (file !== null) writeTokens(file, [...new Map(byId).set(put.id, put).values()]);
      changes += 1;
      hold(put, Date.parse(made.at));
      return put;
    },
  };
}

export const stateOf = (token: StoredToken, nowMs: number): TokenState => ({
  ...token,
  token_prefix: tokenPrefix(token.secret),
  is_expired: isExpired(token, nowMs),
});

function readTokens(file: string): readonly StoredToken[] {
  try {
    // To read a pipe is to wait for ever.
    if (!statSync(file).isFile()) throw new Error('This is no file.');
    return stateFile.parse(JSON.parse(readFileSync(file, 'utf8'))).tokens;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw new Error(
      `${file} does not hold the simulator's state. Move it away: the simulator then begins without tokens.`,
      { cause: error },
    );
  }
}

/** Renamed into place, so that a kill in the middle leaves the old state whole. */
function writeTokens(file: string, tokens: readonly StoredToken[]): void {
  const unfinished = `${file}.tmp`;
  try {
    writeFileSync(unfinished, JSON.stringify({ tokens }), { mode: 0o600 });
    renameSync(unfinished, file);
  } catch (error) {
    rmSync(unfinished, { force: true });
    throw new UnkeptError(
      `The PipeOps simulator cannot write ${file}, and answers nothing to changes: ${error instanceof Error ? error.message : ''}`,
      { cause: error },
    );
  }
}
