import type { ComponentChildren } from 'preact';
import { useEffect } from 'preact/hooks';

/** A page: its title in the tab and as its heading, and what can be done on it. */
export function Page(props: {
  readonly title: string;
  /** What stands as the heading, where it is more than the title. */
  readonly heading?: ComponentChildren;
  readonly actions?: ComponentChildren;
  readonly children: ComponentChildren;
}) {
  useEffect(() => {
    document.title = `${props.title} · Countersign`;
  }, [props.title]);
  return (
    <>
      <div class="head">
        <h1>{props.heading ?? props.title}</h1>
        {props.actions !== undefined && <div class="actions">{props.actions}</div>}
      </div>
      {props.children}
    </>
  );
}

/** Something is being read. */
export const Loading = ({ what = 'Loading' }: { readonly what?: string }) => (
  <p class="loading" role="status">
    {what}…
  </p>
);

/** There is nothing, and what would change that. */
export const Empty = ({ title, children }: { readonly title: string; readonly children?: ComponentChildren }) => (
  <div class="empty">
    <p class="title">{title}</p>
    {children}
  </div>
);

/** A word on a state. `tone` colours it; the word says it too, for whoever sees no colour. */
export const Badge = (props: {
  readonly tone?: 'good' | 'warning' | 'danger' | 'quiet' | undefined;
  readonly title?: string | undefined;
  readonly children: ComponentChildren;
}) => (
  <span class={`badge ${props.tone ?? 'quiet'}`} title={props.title}>
    {props.children}
  </span>
);
