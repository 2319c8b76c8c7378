import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { createPageClient } from '../package/client/client.ts';
import { CountersignError, type Failure, isRecord } from '../package/client/failure.ts';

// The console calls the public API through the typed client, and nothing else.

/** Says that a request comes from the console's own page, since no form can send it. `poll`: nobody asked for it by hand. */
const CONSOLE_HEADER = 'X-Countersign-Console';

const clientOf = (kind: '1' | 'poll') =>
  createPageClient(
    location.origin,
    async (url, init) => await fetch(url, { ...init, headers: { ...init.headers, [CONSOLE_HEADER]: kind } }),
  );

/** Calls the service for somebody who asked for it. */
export const api = clientOf('1');
/** Calls the service because time has passed. Such a call keeps no session alive. */
export const polling = clientOf('poll');

/** Sends a request to a route that is no part of the API's contract, such as those of a local run. */
export const sendLocal = async (path: string, init: { method?: string; body?: string } = {}): Promise<Response> =>
  await fetch(path, { ...init, headers: { [CONSOLE_HEADER]: '1', 'Content-Type': 'application/json' } });

/** Ends the session, and gives the address to go to next: the provider's own page for it, or none. */
export async function endSession(): Promise<string | null> {
  const response = await sendLocal('/auth/logout', { method: 'POST' });
  const body: unknown = await response.json();
  const data = isRecord(body) ? body['data'] : null;
  const next = isRecord(data) ? data['logout_url'] : null;
  return typeof next === 'string' ? next : null;
}

/** The failure that a call threw. Anything else that was thrown is a fault of this page. */
export function failureFrom(error: unknown): Failure {
  if (error instanceof CountersignError) return error.failure;
  return { code: 'client_unreachable', message: 'This page failed. Load it again.', cause: String(error) };
}

/** Whether a failure means that nobody is signed in, or no longer. */
export const isSignedOut = ({ code }: Failure): boolean =>
  ['unauthenticated', 'invalid_token', 'session_ended'].includes(code) || isRedirect(code);

/** Cloudflare Access answers with a redirect to its own sign-in, which a script cannot see. */
const isRedirect = (code: string): boolean => code === 'client_unexpected_answer';

const signOutListeners = new Set<(failure: Failure) => void>();

/** Is told when a call finds that the session is over. @returns what ends that. */
export function onSignedOut(listener: (failure: Failure) => void): () => void {
  signOutListeners.add(listener);
  return () => void signOutListeners.delete(listener);
}

/** Tells the page of a failure that is about the whole of it. */
export function tellSignedOut(failure: Failure): void {
  if (isSignedOut(failure)) for (const listener of signOutListeners) listener(failure);
}

/** What is known of something that is being read. A reading that fails keeps what was read before. */
export interface Reading<T> {
  readonly data: T | null;
  readonly failure: Failure | null;
  readonly isLoading: boolean;
  readonly reload: () => void;
}

/**
 * Reads something as long as the view is there, and again whenever `key` changes. An answer that comes after the next question is
 * not shown.
 *
 * @param key names what is read, such as the path and the filters.
 */
export function useReading<T>(key: string, read: (signal: AbortSignal) => Promise<T>): Reading<T> {
  const [state, setState] = useState<{ key: string; data: T | null; failure: Failure | null; isLoading: boolean }>({
    key,
    data: null,
    failure: null,
    isLoading: true,
  });
  const [turn, setTurn] = useState(0);
  const latest = useRef(read);
  latest.current = read;
  useEffect(() => {
    const controller = new AbortController();
    setState((before) => ({ key, data: before.key === key ? before.data : null, failure: null, isLoading: true }));
    const { signal } = controller;
    const reading = async (): Promise<void> => {
      try {
        const data = await latest.current(signal);
        if (!signal.aborted) setState({ key, data, failure: null, isLoading: false });
      } catch (error) {
        if (signal.aborted) return;
        const failure = failureFrom(error);
        tellSignedOut(failure);
        setState((before) => ({ key, data: before.data, failure, isLoading: false }));
      }
    };
    void reading();
    return () => controller.abort();
  }, [key, turn]);
  const reload = useCallback(() => setTurn((before) => before + 1), []);
  // Before the effect runs, what was read belongs to the key of before.
  return state.key === key ? { ...state, reload } : { data: null, failure: null, isLoading: true, reload };
}

/** A change that somebody asks for. */
export interface Action<Arguments extends readonly unknown[]> {
  readonly run: (...given: Arguments) => Promise<boolean>;
  readonly isRunning: boolean;
  /** Why the last one failed, in the words of the service. */
  readonly failure: Failure | null;
  readonly forget: () => void;
}

/**
 * Runs a change once at a time. Nothing is shown as done before the service has said so.
 *
 * @returns `run` tells whether it succeeded.
 */
export function useAction<Arguments extends readonly unknown[]>(
  change: (...given: Arguments) => Promise<unknown>,
): Action<Arguments> {
  const [failure, setFailure] = useState<Failure | null>(null);
  const [isRunning, setRunning] = useState(false);
  const running = useRef(false);
  const run = async (...given: Arguments): Promise<boolean> => {
    if (running.current) return false;
    running.current = true;
    setRunning(true);
    setFailure(null);
    try {
      await change(...given);
      return true;
    } catch (error) {
      const failed = failureFrom(error);
      tellSignedOut(failed);
      setFailure(failed);
      return false;
    } finally {
      running.current = false;
      setRunning(false);
    }
  };
  return { run, isRunning, failure, forget: () => setFailure(null) };
}

/** Calls `tick` again and again while the page can be seen, and at once when it can be seen again. */
export function usePolling(tick: (signal: AbortSignal) => Promise<void>, intervalMs: number, isOn = true): void {
  const latest = useRef(tick);
  latest.current = tick;
  useEffect(() => {
    if (!isOn) return;
    const controller = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let isBusy = false;
    const turn = async (): Promise<void> => {
      if (isBusy || document.hidden || controller.signal.aborted) return;
      isBusy = true;
      try {
        await latest.current(controller.signal);
      } catch (error) {
        if (!controller.signal.aborted) tellSignedOut(failureFrom(error));
      } finally {
        isBusy = false;
        if (!controller.signal.aborted) timer = setTimeout(() => void turn(), intervalMs);
      }
    };
    const seen = (): void => {
      clearTimeout(timer);
      void turn();
    };
    timer = setTimeout(() => void turn(), intervalMs);
    document.addEventListener('visibilitychange', seen);
    return () => {
      controller.abort();
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', seen);
    };
  }, [intervalMs, isOn]);
}
