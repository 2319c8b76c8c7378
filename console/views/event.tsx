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

/** The fields that the page tells in another way. */
const TOLD = ['id', 'action', 'status'];

function Facts({ event, names }: { readonly event: AuditEvent; readonly names: ReadonlyMap<string, string> }) {
  const { actor, count, occurred_at: at, settled_at: settledAt, token_id: tokenId } = event;
  const linked = Object.entries({ ...event, ...event.detail }).flatMap(([field, value]) => {
    if (typeof value !== 'string' || TOLD.includes(field)) return [];
    const to = pathOf(event, field, value);
    return to === null ? [] : [{ field, value, to }];
  });
  const tokenName = tokenId === null ? null : (event.token_name ?? names.get(tokenId) ?? null);
  return (
    <>
      <Fact title="When">{fullTime(at)}</Fact>
      {settledAt !== null && settledAt !== at && <Fact title="Settled">{fullTime(settledAt)}</Fact>}
      {count > 1 && (
        <Fact title="How often">
          {count} times, the last {fullTime(event.last_at)}
        </Fact>
      )}
      <Fact title="Who">
        <ActorName actor={actor} />
        {actor.issuer !== null && <span class="quiet"> of {actor.issuer}</span>}
      </Fact>
      {tokenName !== null && <Fact title="Token name">{tokenName}</Fact>}
      {linked.map(({ field, value, to }) => (
        <Fact key={field} title={titleOf(field)}>
          <Link to={to}>{value}</Link>
          {field === 'error_code' && (
            <>
              {' '}
              <a href={`/docs/errors#${encodeURIComponent(value)}`}>What this means</a>
            </>
          )}
        </Fact>
      ))}
      {event.upstream_status !== null && <Fact title="PipeOps answered">{event.upstream_status}</Fact>}
      {event.user_agent !== null && <Fact title="Program">{event.user_agent}</Fact>}
      <Fact title="Event">
        <Id value={event.id} isShort={false} /> <span class="quiet">number {event.seq} of the trail</span>
      </Fact>
    </>
  );
}

/** The name of a field as a title: `workspace_uuid` becomes `Workspace`. */
const titleOf = (field: string): string =>
  field === 'ip'
    ? 'Address'
    : field.slice(0, 1).toUpperCase() +
      field
        .slice(1)
        .replace(/_(id|uuid)$/, '')
        .replaceAll('_', ' ');

const Fact = ({ title, children }: { readonly title: string; readonly children: ComponentChildren }) => (
  <>
    <dt>{title}</dt>
    <dd>{children}</dd>
  </>
);
