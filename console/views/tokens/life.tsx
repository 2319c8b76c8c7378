import { Link } from '../../location.tsx';
import { fullTime, Time } from '../../parts/time.tsx';
import { paths } from '../../routes.ts';
import { SentenceLine, type TokenNames } from '../activity/sentence-line.tsx';
import { type Life, type Step, timelineOf } from './timeline.ts';
import { nameOf } from './words.ts';

interface TimelineProps {
  readonly life: Life;
  readonly hasOlder: boolean;
  readonly isWatched: boolean;
}

/** What was done to a token, oldest first, and what is to come. */
export function Timeline({ life, hasOlder, isWatched }: TimelineProps) {
  const steps = timelineOf(life);
  // Most events name a token by its id.
  const names = new Map([[life.token.id, nameOf(life.token)]]);
  return (
    <section class="card" aria-label="Life">
      <h2>Life {isWatched && <span class="live">live</span>}</h2>
      {hasOlder && <p class="hint">Its latest 200 events are shown. Older ones stand in Activity.</p>}
      {steps.length === 0 ? (
        <p class="quiet">Nothing is recorded of it yet.</p>
      ) : (
        <ol class="timeline">
          {steps.map((step) => (
            <Line key={step.key} step={step} names={names} />
          ))}
        </ol>
      )}
    </section>
  );
}

function Line({ step, names }: { readonly step: Step; readonly names: TokenNames }) {
  const { actor, what, notes, eventId, at, gap } = step;
  return (
    <li class={`${step.tone}${step.isToCome ? ' to-come' : ''}`}>
      <p>
        <SentenceLine event={{ actor }} sentence={{ what, why: null }} names={names} />
      </p>
      {notes.map((note) => (
        <p class="note" key={note}>
          {note}
        </p>
      ))}
      <p class="when">
        {gap === null ? (
          <Time at={at} />
        ) : (
          <time dateTime={at} title={fullTime(at)}>
            {gap === '0 ms' ? 'at the same moment' : `${gap} later`}
          </time>
        )}
        {eventId !== null && <Link to={paths.event(eventId)}>Event</Link>}
      </p>
    </li>
  );
}
