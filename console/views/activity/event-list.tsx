import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { AuditEvent } from '../../../package/client/types.ts';
import { Link } from '../../location.tsx';
import { Time } from '../../parts/time.tsx';
import { paths } from '../../routes.ts';
import { Record } from './record.tsx';
import { plainText, sentenceOf } from './sentence.ts';
import { SentenceLine, StatusMark, type TokenNames, Why } from './sentence-line.tsx';
import { chunksOf, type Row, rowsByDay } from './timeline.ts';

/** Fewer events than these are all drawn. */
const WINDOW_FROM_EVENTS = 200;
/** How far beyond the screen rows are drawn, so that a quick scroll shows no gap. */
const DRAWN_BEYOND = '1200px 0px';
/** The height of a row that was never drawn, in CSS pixels. */
const ROW_HEIGHT_PX = 41;

const day = new Intl.DateTimeFormat('en', { dateStyle: 'full' });
const dayOf = (at: string): string => day.format(new Date(at));

interface EventListProps {
  readonly events: readonly AuditEvent[];
  readonly names: TokenNames;
}

/** The events under their days. Of many, the pieces are drawn that are near to what can be seen, whatever the height of a row. */
export function EventList({ events, names }: EventListProps) {
  const [opened, setOpened] = useState<ReadonlySet<string>>(new Set());
  /** The pieces are numbered from the event that was the newest at first. */
  const { current: anchorId } = useRef(events[0]?.id ?? null);
  const chunks = useMemo(() => chunksOf(rowsByDay(events, dayOf), anchorId), [events]);
  const isWindowed = events.length > WINDOW_FROM_EVENTS;
  const toggle = (id: string): void =>
    setOpened((before) => {
      const after = new Set(before);
      if (!after.delete(id)) after.add(id);
      return after;
    });
  return (
    <div class="card events">
      {chunks.map(({ key, rows }) => (
        <Chunk key={key} rows={rows} isWindowed={isWindowed} opened={opened} onToggle={toggle} names={names} />
      ))}
    </div>
  );
}

interface ChunkProps {
  readonly rows: readonly Row[];
  readonly isWindowed: boolean;
  readonly opened: ReadonlySet<string>;
  readonly onToggle: (id: string) => void;
  readonly names: TokenNames;
}

function Chunk({ rows, isWindowed, opened, onToggle, names }: ChunkProps) {
  const place = useRef<HTMLDivElement>(null);
  const [isNear, setNear] = useState(!isWindowed);
  const heightPx = useRef<number | null>(null);
  useEffect(() => {
    const element = place.current;
    if (!isWindowed || element === null) return;
    const observer = new IntersectionObserver(
      (entries) => {
        const isIn = entries.some(({ isIntersecting }) => isIntersecting);
        if (!isIn) heightPx.current = element.offsetHeight;
        setNear(isIn);
      },
      { rootMargin: DRAWN_BEYOND },
    );
    observer.observe(element);
    return () => observer.disconnect();
  }, [isWindowed]);
  const isDrawn = !isWindowed || isNear;
  return (
    <div ref={place} style={isDrawn ? undefined : { height: `${heightPx.current ?? rows.length * ROW_HEIGHT_PX}px` }}>
      {isDrawn && (
        <ol>
          {rows.map((row) =>
            row.kind === 'day' ? (
              <li key={row.key} class="day">
                <h2>{row.day}</h2>
              </li>
            ) : (
              <EventRow
                key={row.key}
                event={row.event}
                isOpen={opened.has(row.event.id)}
                onToggle={onToggle}
                names={names}
              />
            ),
          )}
        </ol>
      )}
    </div>
  );
}

interface EventRowProps {
  readonly event: AuditEvent;
  readonly isOpen: boolean;
  readonly onToggle: (id: string) => void;
  readonly names: TokenNames;
}

function EventRow({ event, isOpen, onToggle, names }: EventRowProps) {
  const sentence = useMemo(() => sentenceOf(event), [event]);
  const panelId = `record-${event.id}`;
  return (
    <li class={isOpen ? 'event is-open' : 'event'}>
      <div class="summary">
        <StatusMark status={event.status} />
        <p class="sentence">
          <SentenceLine event={event} sentence={sentence} names={names} />
          {sentence.why !== null && (
            <span class="why">
              {' '}
              <Why event={event} sentence={sentence} />
            </span>
          )}
        </p>
        <Link class="when" to={paths.event(event.id)}>
          <Time at={event.occurred_at} />
        </Link>
        <button
          type="button"
          class="plain small disclose"
          aria-expanded={isOpen}
          aria-controls={panelId}
          aria-label={`Record: ${plainText(event, sentence)}`}
          title="The record"
          onClick={() => onToggle(event.id)}
        >
          {'{ }'}
        </button>
      </div>
      <div id={panelId} hidden={!isOpen}>
        {isOpen && <Record event={event} />}
      </div>
    </li>
  );
}
