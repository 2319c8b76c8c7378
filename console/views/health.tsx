import type { ComponentChildren } from 'preact';
import type { Failure } from '../../package/client/failure.ts';
import type { Readiness, Status, Trouble } from '../../package/client/types.ts';
import { useViewer } from '../caller.tsx';
import { type Following, useFollowing } from '../parts/following.ts';
import { AsOf, Stale } from '../parts/lists.tsx';
import { notReadyReasons, reasonWords } from '../parts/reasons.ts';
import { Loading, Page } from '../parts/states.tsx';
import { Cards, Known, OpenWork } from './health/cards.tsx';
import { verdict } from './health/facts.ts';

const POLL_MS = 30_000;

/** How the service is. Whoever may read the trail sees all of it, and anybody else what load balancers see. */
export const HealthView = () => (useViewer().may('audit:read') ? <WholeStatus /> : <ReadinessOnly />);

function WholeStatus() {
  const following = useFollowing<Status>(
    'status',
    async (client, signal) => await client.status({ signal }),
    () => POLL_MS,
  );
  return (
    <HealthPage following={following}>
      {(status, isFresh) => (
        <>
          {isFresh && <Verdict notReady={status.not_ready.length} degraded={status.degraded.length} />}
          <Troubles troubles={[...status.not_ready, ...status.degraded]} />
          <Cards status={status} />
        </>
      )}
    </HealthPage>
  );
}

function ReadinessOnly() {
  const following = useFollowing<Readiness>(
    'readiness',
    async (client, signal) => await client.readiness({ signal }),
    () => POLL_MS,
  );
  return (
    <HealthPage following={following}>
      {(readiness, isFresh) => (
        <>
          {isFresh && <Verdict notReady={0} degraded={readiness.degraded.length} />}
          {readiness.degraded.map((reason) => (
            <ReasonCard key={reason} reason={reason} />
          ))}
          <div class="cards">
            <OpenWork
              open_attempts={{ count: readiness.open_attempts, oldest_at: null }}
              orders={{
                open: readiness.open_orders,
                acknowledged: readiness.acknowledged_orders,
                failed: readiness.failed_orders,
                contradicted: readiness.contradicted_orders,
                oldest_at: null,
                next_scheduled_at: null,
              }}
            />
          </div>
          <p class="quiet">
            This is what anybody may know. A role with <code>audit:read</code> shows the rest: since when, what to do,
            quota, credentials and the database.
          </p>
        </>
      )}
    </HealthPage>
  );
}

function HealthPage<T>(props: {
  readonly following: Following<T>;
  /** @param isFresh whether the last look succeeded. What was seen before says nothing of how the service is now. */
  readonly children: (seen: T, isFresh: boolean) => ComponentChildren;
}) {
  const { following, children } = props;
  const { data, failure, isLoading } = following;
  const reasons = failure === null ? [] : notReadyReasons(failure);
  return (
    <Page title="Health" actions={<AsOf following={following} />}>
      {failure !== null && reasons.length > 0 && <NotReady failure={failure} reasons={reasons} />}
      {reasons.length === 0 && <Stale following={following} />}
      {data === null && failure === null && isLoading && <Loading />}
      {/* What was seen before the service stopped is no news any more. */}
      {data !== null && reasons.length === 0 && children(data, failure === null)}
    </Page>
  );
}

/** It does nothing, and says why: with advice for whoever may read the trail. */
function NotReady({ failure, reasons }: { readonly failure: Failure; readonly reasons: readonly string[] }) {
  const advice = 'errors' in failure ? failure.errors : {};
  return (
    <>
      <Verdict notReady={reasons.length} degraded={0} />
      {reasons.map((reason) => (
        <ReasonCard key={reason} reason={reason} isSevere>
          {advice[reason]?.map((text) => (
            <NextStep key={text} text={text} />
          ))}
        </ReasonCard>
      ))}
    </>
  );
}

function Verdict(props: { readonly notReady: number; readonly degraded: number }) {
  const { tone, text } = verdict(props.notReady, props.degraded);
  return (
    <p class={`verdict-line ${tone}`} role="status">
      {text}
    </p>
  );
}

const Troubles = ({ troubles }: { readonly troubles: readonly Trouble<string>[] }) =>
  troubles.map((trouble) => (
    <ReasonCard key={trouble.reason} reason={trouble.reason}>
      <NextStep text={trouble.what_to_do} />
      <Known of={trouble} without={['reason', 'what_to_do']} />
    </ReasonCard>
  ));

function ReasonCard(props: {
  readonly reason: string;
  readonly isSevere?: boolean;
  readonly children?: ComponentChildren;
}) {
  const { title, meaning } = reasonWords(props.reason);
  return (
    <section class={`card trouble ${props.isSevere === true ? 'danger' : 'warning'}`} aria-label={title}>
      <h2>{title}</h2>
      <p>{meaning}</p>
      {props.children}
    </section>
  );
}

const NextStep = ({ text }: { readonly text: string }) => (
  <div class="next-step">
    <h3>What to do</h3>
    <p>{text}</p>
  </div>
);
