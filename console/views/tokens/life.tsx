import { Link } from '../../location.tsx';
import { ActorName, TokenName } from '../../parts/names.tsx';
import { fullTime, Time, useNow } from '../../parts/time.tsx';
import { paths } from '../../routes.ts';
import { type Life, type Step, timelineOf } from './timeline.ts';

interface TimelineProps {
  readonly life: Life;
  readonly hasOlder: boolean;
  readonly isWatched: boolean;
}

/** What was done to a token, oldest first, and what is to come. */
export function Timeline({ life, hasOlder, isWatched }: TimelineProps) {
  const nowMs = useNow();
  const steps = timelineOf(life, nowMs);
  return (
    <section class="card" aria-label="Life">
      <h2>Life {isWatched && <span class="live">live</span>}</h2>
      {hasOlder && <p class="hint">Its latest 200 events are shown. Older ones stand in Activity.</p>}
      {steps.length === 0 ? (
        <p class="quiet">Nothing is recorded of it yet.</p>
      ) : (
        <ol class="timeline">
          {steps.map((step) => (
            <Line key={step.key} step={step} workspaceUuid={life.token.workspace_uuid} />
          ))}
        </ol>
      )}
    </section>
  );
}

function Line({ step, workspaceUuid }: { readonly step: Step; readonly workspaceUuid: string }) {
  const { actor, text, token, notes, eventId, at, gap } = step;
  return (
    <li class={`${step.tone}${step.isToCome ? ' to-come' : ''}`}>
      <p>
        {actor !== null && (
          <>
            <ActorName actor={actor} />{' '}
          </>
        )}
        {text}
        {token !== null && (
          <>
            {' '}
            <TokenName workspaceUuid={workspaceUuid} tokenId={token.id} name={token.name} />
          </>
        )}
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
