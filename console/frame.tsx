import type { ComponentChildren } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { Failure } from '../package/client/failure.ts';
import type { Readiness } from '../package/client/types.ts';
import {
  api,
  endSession,
  failureFrom,
  isSignedOut,
  onSignedOut,
  polling,
  sendLocal,
  usePolling,
  useReading,
} from './api.ts';
import { useViewer, type Viewer, ViewerContext, viewerOf } from './caller.tsx';
import { Link, navigate, useLocation } from './location.tsx';
import { FailureNotice } from './parts/failure.tsx';
import { Loading } from './parts/states.tsx';
import { Notices } from './parts/notices.tsx';
import { bannerWords, notReadyReasons } from './parts/reasons.ts';
import { loginPath, paths } from './routes.ts';

const READINESS_POLL_MS = 60_000;

/** What stands around every view: the pages that the viewer may use, who the viewer is, and what is wrong with the service. */
export function Frame({ children }: { readonly children: ComponentChildren }) {
  const { pathname, search } = useLocation();
  const reading = useReading('whoami', async (signal) => {
    const [whoami, isLocal] = await Promise.all([api.whoami({ signal }), askIsLocal()]);
    return viewerOf(whoami, isLocal);
  });
  const [ended, setEnded] = useState<Failure | null>(null);
  useEffect(() => onSignedOut(setEnded), []);
  const { data: viewer, failure } = reading;
  const isAnonymous = viewer === null && failure !== null && isSignedOut(failure);
  const returnTo = search.size === 0 ? pathname : `${pathname}?${search.toString()}`;
  useEffect(() => {
    // Whoever comes without a session signs in, and comes back here.
    if (isAnonymous) navigate(`${paths.signIn}?return_to=${encodeURIComponent(returnTo)}`, { replace: true });
  }, [isAnonymous]);

  if (viewer === null) {
    return (
      <main class="alone" tabIndex={-1}>
        {failure === null || isAnonymous ? <Loading /> : <FailureNotice failure={failure} onRetry={reading.reload} />}
      </main>
    );
  }
  return (
    <ViewerContext.Provider value={viewer}>
      <div class="frame">
        <a class="skip" href="#main">
          Skip to the content
        </a>
        <header class="side">
          <Link class="name" to={paths.home}>
            Countersign
          </Link>
          <Pages pathname={pathname} viewer={viewer} />
          <Account />
        </header>
        <div class="content">
          <Trouble />
          {ended === null ? (
            <main id="main" tabIndex={-1}>
              {children}
            </main>
          ) : (
            <SessionEnded failure={ended} returnTo={returnTo} />
          )}
        </div>
        <Notices />
      </div>
    </ViewerContext.Provider>
  );
}

/** A page that no permission of the viewer opens is not offered. */
function Pages({ pathname, viewer }: { readonly pathname: string; readonly viewer: Viewer }) {
  const pages = useMemo(
    () =>
      [
        { to: paths.activity, title: 'Activity', isOffered: true },
        { to: paths.tokens, title: 'Tokens', isOffered: viewer.may('tokens:read') },
        { to: paths.whose, title: 'Whose token is this?', isOffered: viewer.may('tokens:read') },
        { to: paths.people, title: 'People', isOffered: viewer.may('audit:read') },
        { to: paths.webhooks, title: 'Webhooks', isOffered: viewer.may('audit:read') },
        { to: paths.health, title: 'Health', isOffered: true },
      ].filter(({ isOffered }) => isOffered),
    [viewer],
  );
  return (
    <nav aria-label="Pages">
      <ul>
        {pages.map(({ to, title }) => (
          <li key={to}>
            <Link to={to} aria-current={pathname === to || pathname.startsWith(`${to}/`) ? 'page' : undefined}>
              {title}
            </Link>
          </li>
        ))}
      </ul>
    </nav>
  );
}

function Account() {
  const { whoami } = useViewer();
  const [failure, setFailure] = useState<Failure | null>(null);
  const leave = async (): Promise<void> => {
    try {
      location.assign((await endSession()) ?? paths.signedOut);
    } catch (error) {
      setFailure(failureFrom(error));
    }
  };
  return (
    <div class="account">
      <p class="who" title={`${whoami.subject} of ${whoami.issuer}`}>
        {whoami.label ?? whoami.subject}
      </p>
      <p class="quiet">{whoami.roles.map(({ name }) => name).join(', ')}</p>
      {whoami.session !== null && (
        <button type="button" class="plain" onClick={() => void leave()}>
          Sign out
        </button>
      )}
      <a class="quiet" href="/docs">
        Documentation
      </a>
      {failure !== null && <p class="problem">{failure.message}</p>}
    </div>
  );
}

/** What `/readyz` says is wrong, on every page. */
function Trouble() {
  const [readiness, setReadiness] = useState<Readiness | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const turn = useRef(0);
  const look = async (signal?: AbortSignal): Promise<void> => {
    turn.current += 1;
    const own = turn.current;
    try {
      const seen = await polling.readiness(signal === undefined ? {} : { signal });
      // An answer to an earlier look says what was so before this device went offline.
      if (own !== turn.current) return;
      setReadiness(seen);
      setProblem(null);
    } catch (error) {
      const failure = failureFrom(error);
      if (failure.code === 'client_aborted' || own !== turn.current) return;
      const reasons = notReadyReasons(failure);
      if (failure.code === 'client_unreachable') setProblem('The service cannot be reached from here.');
      else setProblem(reasons.length === 0 ? failure.message : bannerWords(reasons));
    }
  };
  useEffect(() => {
    void look();
    const again = (): void => void look();
    addEventListener('online', again);
    addEventListener('offline', again);
    return () => {
      removeEventListener('online', again);
      removeEventListener('offline', again);
    };
  }, []);
  usePolling(look, READINESS_POLL_MS);
  const degraded = readiness?.degraded ?? [];
  if (problem === null && degraded.length === 0) return null;
  return (
    <div class={problem === null ? 'banner warning' : 'banner danger'} role="status">
      {problem ?? bannerWords(degraded)} <Link to={paths.health}>See Health</Link>
    </div>
  );
}

function SessionEnded({ failure, returnTo }: { readonly failure: Failure; readonly returnTo: string }) {
  return (
    <main id="main" class="alone" tabIndex={-1}>
      <h1>Your session has ended</h1>
      <p>
        {failure.code === 'unauthenticated' ? 'Sign in again to go on. What you did so far is done.' : failure.message}
      </p>
      <a class="button primary" href={loginPath(returnTo)}>
        Sign in again
      </a>
    </main>
  );
}

/** Only a service of this machine can be a local run. Elsewhere nothing is asked. */
async function askIsLocal(): Promise<boolean> {
  if (!['127.0.0.1', 'localhost'].includes(location.hostname)) return false;
  try {
    return (await sendLocal('/local')).ok;
  } catch {
    return false;
  }
}
