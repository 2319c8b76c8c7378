import { Link } from '../../location.tsx';
import { duration } from '../../parts/figures.ts';
import { TokenName } from '../../parts/names.tsx';
import { fullTime, Time } from '../../parts/time.tsx';
import { paths } from '../../routes.ts';
import { sentenceOf } from '../activity/sentence.ts';
import { SentenceLine, type TokenNames, Why } from '../activity/sentence-line.tsx';
import { type Entry, type Life, timelineOf } from './timeline.ts';

interface TimelineProps {
  readonly life: Life;
  readonly hasOlder: boolean;
  readonly isWatched: boolean;
}

/** What was done to a token, oldest first, and what is to come. */
export function Timeline({ life, hasOlder, isWatched }: TimelineProps) {
  // A revocation records no name.
  const names = new Map(
    [life.token, life.successor, life.predecessor].flatMap((token) =>
      token === null || token.name === null ? [] : [[token.id, token.name] as const],
    ),
  );
  return (
    <section class="card" aria-label="Life">
      <h2>Life {isWatched && <span class="mark good">live</span>}</h2>
      {hasOlder && <p class="hint">Its latest 200 events are shown. Older ones stand in Activity.</p>}
      <ol class="timeline">
        {timelineOf(life).map((entry) => (
          <Line key={entry.key} entry={entry} names={names} />
        ))}
      </ol>
    </section>
  );
}

function Line({ entry, names }: { readonly entry: Entry; readonly names: TokenNames }) {
  const { event, text, token, notes, at, afterMs } = entry;
  const eventId = event?.id ?? token?.create_event_id;
  return (
    <li class={`${entry.tone}${entry.isToCome ? ' to-come' : ''}`}>
      {event === null ? (
        <p>
          {text}{' '}
          {token !== null && <TokenName workspaceUuid={token.workspace_uuid} tokenId={token.id} name={token.name} />}
        </p>
      ) : (
        <Told event={event} names={names} />
      )}
      {notes.map((note) => (
        <p class="note" key={note}>
          {note}
        </p>
      ))}
      <p class="when">
        {afterMs === null ? (
          <Time at={at} />
        ) : (
          <time dateTime={at} title={fullTime(at)}>
            {afterMs === 0 ? 'at the same moment' : `${duration(afterMs)} later`}
          </time>
        )}
        {typeof eventId === 'string' && <Link to={paths.event(eventId)}>Event</Link>}
      </p>
    </li>
  );
}

function Told({ event, names }: { readonly event: NonNullable<Entry['event']>; readonly names: TokenNames }) {
  const sentence = sentenceOf(event);
  return (
    <>
      <p>
        <SentenceLine event={event} sentence={sentence} names={names} />
      </p>
      <p class="note">
        <Why event={event} sentence={sentence} />
      </p>
    </>
  );
}
