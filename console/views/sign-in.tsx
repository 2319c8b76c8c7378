import type { ComponentChildren } from 'preact';
import { useEffect } from 'preact/hooks';
import { useLocation } from '../location.tsx';
import { loginPath, paths } from '../routes.ts';

/** Why a sign-in came to nothing, and what to do, by the code that the service gave. */
const PROBLEMS: Readonly<Record<string, string>> = {
  sign_in_failed:
    'The sign-in was not finished: it took longer than ten minutes, was used before, or began in another browser. Sign in again.',
  sign_in_not_configured:
    'Nobody can sign in here: no issuer of the policy has a client id. Whoever runs this service finds in the documentation how to add one.',
  no_role: 'You are known, and the policy gives you no role here. Ask whoever runs this service for a binding.',
  subject_blocked: 'You were offboarded here. A person with the right to do so can reinstate you.',
};

/** What is shown to whoever is not signed in. */
export function SignInView() {
  const { search } = useLocation();
  const code = search.get('error');
  const problem = code === null ? null : (PROBLEMS[code] ?? 'The sign-in failed. Try again in a minute.');
  return (
    <Alone title="Countersign">
      <p>
        The audited front door to your company’s PipeOps tokens: who has which, what happened, and what to do about it.
      </p>
      {problem !== null && (
        <p class="problem" role="alert">
          {problem} {isCode(code) && <a href={`/docs/errors#${code}`}>What this means</a>}
        </p>
      )}
      <a class="button primary" href={loginPath(search.get('return_to') ?? paths.home)}>
        Sign in
      </a>
    </Alone>
  );
}

/** Anybody can write an address. What is no code is shown nowhere. */
const isCode = (code: string | null): code is string => code !== null && /^[a-z_]{1,40}$/.test(code);

/** What is shown after a sign-out. */
export const SignedOutView = () => (
  <Alone title="You are signed out">
    <p>Your session has ended here. Close the browser too, if the machine is not yours.</p>
    <a class="button primary" href={loginPath(paths.home)}>
      Sign in again
    </a>
  </Alone>
);

function Alone({ title, children }: { readonly title: string; readonly children: ComponentChildren }) {
  useEffect(() => {
    document.title = title === 'Countersign' ? title : `${title} · Countersign`;
  }, [title]);
  return (
    <main class="alone" tabIndex={-1}>
      <img src="/console/assets/icon.svg" alt="" width="48" height="48" />
      <h1>{title}</h1>
      {children}
      <p class="quiet">
        <a href="/docs">Documentation</a>
      </p>
    </main>
  );
}
