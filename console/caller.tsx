import { createContext } from 'preact';
import { useContext } from 'preact/hooks';
import type { Whoami } from '../package/client/types.ts';
import type { Permission } from '../package/client/vocabulary.ts';

/** Who looks at the console, and what the policy grants them. It only decides what is offered: the service decides what is done. */
export interface Viewer {
  readonly whoami: Whoami;
  /** Whether some role has the permission. */
  may(permission: Permission): boolean;
  /** Whether some role has it for tokens of others too. */
  mayOfAny(permission: Permission): boolean;
  /** Whether they own what this names. */
  isMe(owner: { readonly issuer: string | null; readonly subject: string | null } | null): boolean;
  /** Whether the service runs on this machine, beside a simulated PipeOps. */
  readonly isLocal: boolean;
}

export function viewerOf(whoami: Whoami, isLocal: boolean): Viewer {
  return {
    whoami,
    isLocal,
    may: (permission) => whoami.roles.some(({ permissions }) => permissions.includes(permission)),
    mayOfAny: (permission) =>
      whoami.roles.some(({ permissions, tokens }) => tokens === 'any' && permissions.includes(permission)),
    isMe: (owner) => owner !== null && owner.issuer === whoami.issuer && owner.subject === whoami.subject,
  };
}

export const ViewerContext = createContext<Viewer | null>(null);

/** Who is signed in. Only views below the frame use it, and the frame shows them nothing before that is known. */
export function useViewer(): Viewer {
  const viewer = useContext(ViewerContext);
  if (viewer === null) throw new Error('A view is drawn outside the frame.');
  return viewer;
}
