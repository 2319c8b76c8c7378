import type { ComponentChildren } from 'preact';
import type { AuditEvent } from '../../package/client/types.ts';
import { useViewer } from '../caller.tsx';
import { Link } from '../location.tsx';
import { Id } from '../parts/copy.tsx';
import { FailureNotice } from '../parts/failure.tsx';
import { useFollowing } from '../parts/following.ts';
import { ActorName, TokenName } from '../parts/names.tsx';
import { type Fact, Facts } from '../parts/rows.tsx';
import { Loading, Page } from '../parts/states.tsx';
import { fullTime, Time } from '../parts/time.tsx';
import { paths } from '../routes.ts';
import { activityWhere, OTHER_EVENTS, pathOf } from './activity/links.ts';
import { Record } from './activity/record.tsx';
import { plainText, sentenceOf } from './activity/sentence.ts';
import { SealFact } from './activity/seal-fact.tsx';
import { SentenceLine, StatusMark, Why } from './activity/sentence-line.tsx';
import { useTokenNames } from './activity/token-names.ts';

/** An attempt is settled within seconds, or by reconciliation within minutes. */
const OPEN_POLL_MS = 5_000;

/** One event: what it says, what it has to do with, and its record. */
export function EventView({ eventId }: { readonly eventId: string }) {
  const {
    data: event,
    failure,
    reload,
  } = useFollowing(
    `event ${eventId}`,
    async (client, signal) => await client.audit.event(eventId, { signal }),
    ({ status }) => (status === 'attempted' ? OPEN_POLL_MS : null),
  );
  if (event === null) {
    return (
      <Page title="Event">{failure === null ? <Loading /> : <FailureNotice failure={failure} onRetry={reload} />}</Page>
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
          <EventFacts event={event} names={names} />
        </div>
        <h2>The record</h2>
        <Record event={event} />
      </div>
    </Page>
  );
}

/** The fields of an event that may be there, as they are shown. */
const FIELDS: Readonly<Record<string, string>> = {
  workspace_uuid: 'Workspace',
  ...OTHER_EVENTS,
  upstream_status: 'PipeOps answered',
  role: 'Role',
  policy: 'Policy',
  request_id: 'Request',
  ip: 'Address',
  user_agent: 'Program',
};

function EventFacts({ event, names }: { readonly event: AuditEvent; readonly names: ReadonlyMap<string, string> }) {
  const { actor, token_id: tokenId, error_code: code } = event;
  const viewer = useViewer();
  const known: Readonly<Record<string, unknown>> = { ...event.detail, ...event };
  const linked = (field: string): ComponentChildren => {
    const text = String(known[field]);
    const to = pathOf(event, field, text);
    return to === null ? (
      text
    ) : (
      <Link to={to}>
        <code>{text}</code>
      </Link>
    );
  };
  return (
    <Facts
      facts={[
        ['When', fullTime(event.occurred_at)],
        event.settled_at !== null && event.settled_at !== event.occurred_at && ['Settled', fullTime(event.settled_at)],
        event.count > 1 && ['How often', `${event.count} times, the last ${fullTime(event.last_at)}`],
        [
          'Who',
          <>
            <ActorName actor={actor} />
            {actor.issuer !== null && <span class="quiet"> of {actor.issuer}</span>}
          </>,
        ],
        tokenId !== null && [
          'Token',
          <>
            <TokenName
              workspaceUuid={event.workspace_uuid}
              tokenId={tokenId}
              name={event.token_name ?? names.get(tokenId) ?? null}
            />{' '}
            <Link to={activityWhere('token', tokenId)} title="All events of it">
              <code>{tokenId}</code>
            </Link>
          </>,
        ],
        'delivery_id' in known && [actor.type === 'webhook' ? 'Delivery' : 'Receipt', linked('delivery_id')],
        code !== null && [
          'Code',
          <>
            <a href={`/docs/errors#${encodeURIComponent(code)}`}>
              <code>{code}</code>
            </a>{' '}
            <Link to={activityWhere('code', code)}>Others</Link>
          </>,
        ],
        ...Object.entries(FIELDS).map(
          ([field, title]): Fact => ['string', 'number'].includes(typeof known[field]) && [title, linked(field)],
        ),
        [
          'Event',
          <>
            <Id value={event.id} isShort={false} /> <span class="quiet">number {event.seq} of the trail</span>
          </>,
        ],
        viewer.may('audit:read') && ['Seal', <SealFact event={event} />],
      ]}
    />
  );
}
