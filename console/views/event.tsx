import { useState } from 'preact/hooks';
import type { ComponentChildren } from 'preact';
import type { AuditEvent } from '../../package/client/types.ts';
import { api, polling, usePolling, useReading } from '../api.ts';
import { useViewer } from '../caller.tsx';
import { Link } from '../location.tsx';
import { Id } from '../parts/copy.tsx';
import { FailureNotice } from '../parts/failure.tsx';
import { ActorName, TokenName } from '../parts/names.tsx';
import { Loading, Page } from '../parts/states.tsx';
import { fullTime, Time } from '../parts/time.tsx';
import { paths } from '../routes.ts';
import { activityWhere, deliveryPath } from './activity/links.ts';
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

/** The fields that name other events, and what each of them is. */
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
  const { detail } = event;
  const text = (name: string): string | null => (typeof detail[name] === 'string' ? detail[name] : null);
  const delivery = text('delivery_id');
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
      {event.token_id !== null && (
        <Fact title="Token">
          <TokenName
            workspaceUuid={event.workspace_uuid}
            tokenId={event.token_id}
            name={event.token_name ?? names.get(event.token_id) ?? null}
          />{' '}
          <Shared name="token" value={event.token_id} />
        </Fact>
      )}
      {event.workspace_uuid !== null && (
        <Fact title="Workspace">
          <Shared name="workspace" value={event.workspace_uuid} />
        </Fact>
      )}
      {delivery !== null && (
        <Fact title={event.actor.type === 'webhook' ? 'Delivery' : 'Receipt'}>
          <Link to={deliveryPath(delivery, event.actor.type !== 'webhook' && !event.action.startsWith('webhook.'))}>
            {delivery}
          </Link>
        </Fact>
      )}
      {Object.entries(OTHER_EVENTS).map(([field, title]) => {
        const id = text(field);
        return id === null ? null : (
          <Fact key={field} title={title}>
            <Link to={paths.event(id)}>{id}</Link>
          </Fact>
        );
      })}
      {event.error_code !== null && (
        <Fact title="Code">
          <a href={`/docs/errors#${encodeURIComponent(event.error_code)}`}>
            <code>{event.error_code}</code>
          </a>{' '}
          <Link to={activityWhere('code', event.error_code)}>Others</Link>
        </Fact>
      )}
      {event.upstream_status !== null && <Fact title="PipeOps answered">{event.upstream_status}</Fact>}
      {text('role') !== null && (
        <Fact title="Role">
          <Shared name="role" value={text('role') ?? ''} />
        </Fact>
      )}
      {text('policy') !== null && (
        <Fact title="Policy">
          <Shared name="policy" value={text('policy') ?? ''} />
        </Fact>
      )}
      {event.request_id !== null && (
        <Fact title="Request">
          <Shared name="request" value={event.request_id} />
        </Fact>
      )}
      {event.ip !== null && (
        <Fact title="Address">
          <Shared name="ip" value={event.ip} />
        </Fact>
      )}
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

/** A value, with the events that share it. */
const Shared = ({ name, value }: { readonly name: Parameters<typeof activityWhere>[0]; readonly value: string }) => (
  <Link to={activityWhere(name, value)} title="All events of it">
    <code>{value}</code>
  </Link>
);
