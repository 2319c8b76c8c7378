import type { Identity } from '../identity/types.ts';
import type { Caller } from '../policy/types.ts';
import type { RequestContext } from '../kit/trace.ts';

/** What middleware hands on to handlers. */
export interface AppEnv {
  Variables: {
    /** Set by the first middleware, so always there. */
    context: RequestContext;
    /** Set once the JWT is verified. */
    identity: Identity;
    /** Set once a binding knows the identity: on every protected route. */
    caller: Caller;
  };
}
