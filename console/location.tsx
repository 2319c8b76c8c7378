import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';

// The address bar is the state of a view: its path names the page, and its query the filters.

const listeners = new Set<() => void>();
const notify = (): void => {
  for (const listener of listeners) listener();
};
addEventListener('popstate', notify);

/**
 * Goes to another page of the console.
 *
 * @param options.replace whether the page that is left is not to be gone back to, as where a filter is typed.
 */
export function navigate(to: string, { replace = false }: { readonly replace?: boolean } = {}): void {
  const isOtherPage = new URL(to, location.href).pathname !== location.pathname;
  if (replace) history.replaceState(null, '', to);
  else history.pushState(null, '', to);
  notify();
  if (!isOtherPage) return;
  scrollTo(0, 0);
  // Whoever reads by ear, or moves by keyboard, begins at the new page.
  requestAnimationFrame(() => document.querySelector<HTMLElement>('main')?.focus({ preventScroll: true }));
}

/** The address, followed as it changes. */
export function useLocation(): { readonly pathname: string; readonly search: URLSearchParams } {
  const [href, setHref] = useState(location.href);
  useEffect(() => {
    const listener = (): void => setHref(location.href);
    listeners.add(listener);
    listener();
    return () => void listeners.delete(listener);
  }, []);
  const { pathname, searchParams } = new URL(href);
  return { pathname, search: searchParams };
}

/** The address of this page with some parameters of its query set, or taken away where they are null. */
export function withSearch(changes: Readonly<Record<string, string | null>>): string {
  const search = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === '') search.delete(name);
    else search.set(name, value);
  }
  const text = search.toString();
  return text === '' ? location.pathname : `${location.pathname}?${text}`;
}

interface LinkProps {
  readonly to: string;
  readonly class?: string;
  readonly title?: string | undefined;
  readonly 'aria-current'?: 'page' | undefined;
  readonly children: ComponentChildren;
}

/** A link to another page of the console. A click with a modifier key opens a tab, as everywhere. */
export function Link({ to, children, ...rest }: LinkProps) {
  const follow = (event: MouseEvent): void => {
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    navigate(to);
  };
  return (
    <a href={to} onClick={follow} {...rest}>
      {children}
    </a>
  );
}
