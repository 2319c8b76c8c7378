import { useState } from 'preact/hooks';
import type { ComponentChildren } from 'preact';
import type { AuditEvent } from '../../package/client/types.ts';
import { api, polling, usePolling, useReading } from '../api.ts';
import { useViewer } from '../caller.tsx';
import { Link } from '../location.tsx';
import { Id } from '../parts/copy.tsx';
import { FailureNotice } from '../parts/failure.tsx';
import { ActorName } from '../parts/names.tsx';
import { Loading, Page } from '../parts/states.tsx';
import { fullTime, Time } from '../parts/time.tsx';
import { paths } from '../routes.ts';
import { pathOf } from './activity/links.ts';
import { Record } from './activity/record.tsx';
import { plainText, sentenceOf } from './activity/sentence.ts';
import { SentenceLine, StatusMark, Why } from './activity/sentence-line.tsx';
import { useTokenNames } from './activity/token-names.ts';

/** An attempt is settled within seconds, or by reconciliation within minutes. */
const OPEN_POLL_MS = 5_000;

/** One event: what it says, what it has to do with, and its record. */
export function EventView({ eventId }: { readonly eventId: string }) {
  const reading = useReading(`event ${eventId}`, async (signal) => await api.audit.event(eventId, { signal }));
  const [polled, setPolled] = useState<AuditEvent | null>(null);
  const event = polled ?? reading.data;
  usePolling(
    async (signal) => setPolled(await polling.audit.event(eventId, { signal })),
    OPEN_POLL_MS,
    event?.status === 'attempted',
  );
  if (event === null) {
    return (
      <Page title="Event">
        {reading.failure === null ? <Loading /> : <FailureNotice failure={reading.failure} onRetry={reading.reload} />}
      </Page>
    );
  }
  return <Told event={event} />;
}

function Told({ event }: { readonly event: AuditEvent }) {
  const viewer = useViewer();
  const names = useTokenNames([event], viewer.may('tokens:read'));
  const sentence = sentenceOf(event);
  return (
    <Page
      title={plainText(event, sentence)}
      heading={<SentenceLine event={event} sentence={sentence} names={names} />}
      actions={<Link to={paths.activity}>All activity</Link>}
    >
      <div class="activity event-page">
        <p class="lead">
          <StatusMark status={event.status} /> <Time at={event.occurred_at} />
          {sentence.why !== null && (
            <>
              {'. '}
              <Why event={event} sentence={sentence} />
            </>
          )}
        </p>
        <div class="card">
          <dl class="facts">
            <Facts event={event} names={names} />
          </dl>
        </div>
        <h2>The record</h2>
        <Record event={event} />
      </div>
    </Page>
  );
}

/** The fields of a detail that name other events, and what each of them is. */
const OTHER_EVENTS: Readonly<Record<string, string>> = {
  event_id: 'About the event',
  idempotent_of: 'Repeats the request of',
  overtaken: 'Undoes',
  undelivered_create: 'Revokes the token of',
  late_for: 'Ends late',
  retry: 'Made by the retry',
  order: 'Undone by',
  order_id: 'About the order',
};

function Facts({ event, names }: { readonly event: AuditEvent; readonly names: ReadonlyMap<string, string> }) {
  const text = (name: string): string | null => {
    const value = event.detail[name];
    return typeof value === 'string' ? value : null;
  };
  const delivery = text('delivery_id');
  const linked = [
    ['Token', event.token_id, 'token_id'],
    ['Workspace', event.workspace_uuid, 'workspace_uuid'],
    [event.actor.type === 'webhook' ? 'Delivery' : 'Receipt', delivery, 'delivery_id'],
    ...Object.entries(OTHER_EVENTS).map(([field, title]) => [title, text(field), field] as const),
    ['Code', event.error_code, 'error_code'],
    ['Role', text('role'), 'role'],
    ['Policy', text('policy'), 'policy'],
    ['Request', event.request_id, 'request_id'],
    ['Address', event.ip, 'ip'],
  ] as const;
  return (
    <>
      <Fact title="When">{fullTime(event.occurred_at)}</Fact>
      {event.settled_at !== null && event.settled_at !== event.occurred_at && (
        <Fact title="Settled">{fullTime(event.settled_at)}</Fact>
      )}
      {event.count > 1 && (
        <Fact title="How often">
          {event.count} times, the last {fullTime(event.last_at)}
        </Fact>
      )}
      <Fact title="Who">
        <ActorName actor={event.actor} />
        {event.actor.issuer !== null && <span class="quiet"> of {event.actor.issuer}</span>}
      </Fact>
      {linked.map(([title, value, field]) => {
        if (value === null) return null;
        const to = pathOf(event, field, value);
        const name = field === 'token_id' ? (event.token_name ?? names.get(value)) : undefined;
        return (
          <Fact key={field} title={title}>
            {name !== undefined && `${name} `}
            {to === null ? value : <Link to={to}>{value}</Link>}
            {field === 'error_code' && (
              <>
                {' '}
                <a href={`/docs/errors#${encodeURIComponent(value)}`}>What this means</a>
              </>
            )}
          </Fact>
        );
      })}
      {event.upstream_status !== null && <Fact title="PipeOps answered">{event.upstream_status}</Fact>}
      {event.user_agent !== null && <Fact title="Program">{event.user_agent}</Fact>}
      <Fact title="Event">
        <Id value={event.id} isShort={false} /> <span class="quiet">number {event.seq} of the trail</span>
      </Fact>
    </>
  );
}

const Fact = ({ title, children }: { readonly title: string; readonly children: ComponentChildren }) => (
  <>
    <dt>{title}</dt>
    <dd>{children}</dd>
  </>
);
