import type { ComponentChildren } from 'preact';
import type { Reading } from '../api.ts';
import type { Following, Pages } from './following.ts';
import { FailureNotice } from './failure.tsx';
import { Empty, Loading, Page } from './states.tsx';
import { Time } from './time.tsx';

// What stands around what is followed or listed: how old it is, what failed, and how to see more.

/** A page that no role of the viewer opens. The service would refuse it, so it is not asked. */
export const NoPermission = (props: {
  readonly title: string;
  readonly permission: string;
  readonly actions?: ComponentChildren;
  readonly children?: ComponentChildren;
}) => (
  <Page title={props.title} actions={props.actions}>
    <Empty title="Your roles do not open this page">
      <p>
        It takes <code>{props.permission}</code>. Ask whoever runs this service for a role that has it.
      </p>
      {props.children}
    </Empty>
  </Page>
);

/** When the service said what is shown. */
export const AsOf = ({ following }: { readonly following: Pick<Following<unknown>, 'asOfMs'> }) =>
  following.asOfMs === null ? null : (
    <p class="as-of">
      As of <Time at={new Date(following.asOfMs).toISOString()} />
    </p>
  );

/** A look that failed, above what was seen before it. */
export function Stale({ following }: { readonly following: Omit<Following<unknown>, 'data'> }) {
  const { failure, reload } = following;
  return failure === null ? null : <FailureNotice failure={failure} onRetry={reload} />;
}

/** What is read, once it is there; before that, that it is being read. Why a reading failed stands above. */
export function Read<T>(props: {
  readonly reading: Reading<T>;
  readonly what: string;
  readonly children: (data: T) => ComponentChildren;
}) {
  const { data, failure, reload } = props.reading;
  return (
    <>
      {failure !== null && <FailureNotice failure={failure} onRetry={reload} />}
      {data !== null ? props.children(data) : failure === null && <Loading what={props.what} />}
    </>
  );
}

/** The button below a list that has more. */
export function MoreButton({
  pages,
  children,
}: {
  readonly pages: Pick<Pages<unknown>, 'hasMore' | 'isPartial' | 'more'>;
  readonly children?: ComponentChildren;
}) {
  const { hasMore, isPartial, more } = pages;
  if (!hasMore) return null;
  return (
    <div class="more-below">
      {more.failure !== null && <FailureNotice failure={more.failure} />}
      <button type="button" disabled={more.isRunning} onClick={() => void more.run()}>
        {isPartial ? 'Search on' : 'Show more'}
      </button>
      {children}
      {isPartial && <p class="hint">The search has looked at many and ends here. There may be more to find.</p>}
    </div>
  );
}
