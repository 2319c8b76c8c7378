import { useEffect, useRef, useState } from 'preact/hooks';
import type { AuditFilter } from '../../../package/client/requests.ts';
import type { AuditCount } from '../../../package/client/types.ts';
import type { AuditStatus } from '../../../package/client/vocabulary.ts';
import type { api } from '../../api.ts';
import { FailureNotice } from '../../parts/failure.tsx';
import { plain } from '../../parts/figures.ts';
import { useFollowing } from '../../parts/following.ts';
import {
  askedRange,
  type Bar,
  barsOf,
  barsWithin,
  ceilingOf,
  drawnRange,
  type Range,
  spanOf,
  type Step,
  stepOf,
} from './buckets.ts';

// How many events there were over time, by status. A range of bars narrows the question.

/** Each count leaves an event in the trail, so they are asked for again at most once a minute. */
const COUNT_POLL_MS = 60_000;

type Counts = Readonly<Partial<Record<AuditStatus, readonly AuditCount[]>>>;
interface Counted {
  /** What is asked for, and what is drawn: the bars of it, and some around them where they are few. */
  readonly asked: Range;
  readonly drawn: Range;
  readonly counts: Counts;
  readonly isPartial: boolean;
}

/** From the bottom up. What failed stands on top, where it is seen however little it is. */
const WORDS = { success: 'done', attempted: 'open', failure: 'failed' } as const satisfies Readonly<
  Record<AuditStatus, string>
>;
const STATUSES = ['success', 'attempted', 'failure'] as const satisfies readonly AuditStatus[];

const asMs = (time: string | undefined): number | null => (time === undefined ? null : Date.parse(time));

/** Counts a filter by status over its range. */
async function countOver(
  { audit }: typeof api,
  { latest: _latest, ...filter }: AuditFilter,
  signal: AbortSignal,
): Promise<Counted> {
  const nowMs = Date.now();
  const asked = askedRange(asMs(filter.from), asMs(filter.to), nowMs);
  const drawn = drawnRange(asked, nowMs);
  const times = {
    from: new Date(drawn.fromMs).toISOString(),
    ...(drawn.toMs < nowMs && { to: new Date(drawn.toMs).toISOString() }),
  };
  const by = stepOf(drawn);
  const { to: _to, ...rest } = filter;
  const statuses = filter.status === undefined ? STATUSES : [filter.status];
  const answers = await Promise.all(
    statuses.map(
      async (status) => [status, await audit.counts({ ...rest, ...times, status, by }, { signal })] as const,
    ),
  );
  return {
    asked,
    drawn,
    counts: Object.fromEntries(answers.map(([status, { counts }]) => [status, counts])),
    isPartial: answers.some(([, { partial }]) => partial),
  };
}

/**
 * Bars over time.
 *
 * @param onChoose takes the range that was chosen.
 */
export function Bars({
  questionKey,
  filter,
  isLive,
  onChoose,
}: {
  readonly questionKey: string;
  readonly filter: AuditFilter;
  readonly isLive: boolean;
  readonly onChoose: (range: Range) => void;
}) {
  const { data, failure, reload } = useFollowing(
    questionKey,
    async (client, signal) => await countOver(client, filter, signal),
    () => (isLive ? COUNT_POLL_MS : null),
  );
  if (data !== null) return <Chart {...data} onChoose={onChoose} />;
  return failure === null ? (
    <div class="card bars is-empty" aria-hidden="true" />
  ) : (
    <FailureNotice failure={failure} onRetry={reload} />
  );
}

function Chart({ asked, drawn, counts, isPartial, onChoose }: Counted & { readonly onChoose: (range: Range) => void }) {
  const bars = barsOf(drawn, counts);
  const step = stepOf(drawn);
  const plot = useRef<HTMLDivElement>(null);
  /** The bar that is pointed at or has the focus, and the one at which a range began. */
  const [cursor, setCursor] = useState<number | null>(null);
  const [anchor, setAnchor] = useState<number | null>(null);
  const last = bars.length - 1;
  useEffect(() => {
    setCursor(null);
    setAnchor(null);
  }, [drawn.fromMs, bars.length]);

  const indexAt = (event: PointerEvent): number => {
    const box = plot.current?.getBoundingClientRect();
    if (box === undefined || box.width === 0) return 0;
    return Math.min(last, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * bars.length)));
  };
  const isDragging = ({ pointerId }: PointerEvent): boolean => plot.current?.hasPointerCapture(pointerId) === true;
  const choose = (one: number, other: number): void => {
    const range = spanOf(bars, one, other);
    if (range !== null) onChoose(range);
  };
  const onKey = (event: KeyboardEvent): void => {
    const at = cursor ?? last;
    const next = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last }[event.key];
    if (next !== undefined) {
      event.preventDefault();
      setAnchor(event.shiftKey ? (anchor ?? at) : null);
      setCursor(Math.min(last, Math.max(0, cursor === null ? last : next)));
    } else if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      choose(anchor ?? at, at);
    } else if (event.key === 'Escape') {
      setAnchor(null);
    }
  };
  const chosen = cursor === null ? null : spanOf(bars, anchor ?? cursor, cursor);
  const isChosen = ({ fromMs }: Bar): boolean => chosen !== null && fromMs >= chosen.fromMs && fromMs < chosen.toMs;
  const within = barsWithin(bars, asked);
  const told = chosen === null ? within : bars.filter(isChosen);
  const ceiling = ceilingOf(bars);
  const sums = STATUSES.map(
    (status) => [status, told.reduce((sum, bar) => sum + bar.counts[status], 0)] as const,
  ).filter(([, sum]) => sum > 0);
  const words = sums.map(([status, sum]) => `${sum} ${WORDS[status]}`).join(', ');
  const span = rangeText({ fromMs: told[0]?.fromMs ?? 0, toMs: told.at(-1)?.toMs ?? 0 }, step);
  return (
    <div class="card bars">
      <p class="told">
        <span class="span">{span}</span>
        {sums.map(([status, sum]) => (
          <span key={status} class={`count is-${status}`}>
            <strong>{plain(sum)}</strong> {WORDS[status]}
          </span>
        ))}
        {words === '' && <span class="quiet">No events</span>}
        {isPartial && <span class="quiet">Only the newest 100,000 events are counted.</span>}
      </p>
      <div
        ref={plot}
        class="plot"
        role="slider"
        tabIndex={0}
        aria-label="Events over time. Arrow keys move, with Shift they select, Enter narrows to the selection."
        aria-orientation="horizontal"
        aria-valuemin={0}
        aria-valuemax={last}
        aria-valuenow={cursor ?? last}
        aria-valuetext={`${span}: ${words === '' ? 'no events' : words}`}
        onKeyDown={onKey}
        onFocus={() => setCursor((before) => before ?? last)}
        onBlur={() => {
          setCursor(null);
          setAnchor(null);
        }}
        onPointerDown={(event) => {
          if (event.button !== 0) return;
          event.currentTarget.setPointerCapture(event.pointerId);
          setAnchor(indexAt(event));
          setCursor(indexAt(event));
        }}
        onPointerMove={(event) => setCursor(indexAt(event))}
        onPointerUp={(event) => {
          if (isDragging(event)) choose(anchor ?? indexAt(event), indexAt(event));
        }}
        onPointerCancel={() => setAnchor(null)}
        onPointerLeave={(event) => {
          if (!isDragging(event) && document.activeElement !== plot.current) setCursor(null);
        }}
      >
        <span class="top" aria-hidden="true">
          {plain(ceiling)}
        </span>
        <svg viewBox={`0 0 ${bars.length} 100`} preserveAspectRatio="none" aria-hidden="true" focusable="false">
          {bars.map((bar, index) => (
            <g key={bar.fromMs} class={isChosen(bar) ? 'is-chosen' : within.includes(bar) ? '' : 'is-outside'}>
              <rect class="slot" x={index} y={0} width={1} height={100} />
              {stacked(bar, ceiling).map(({ status, top, height }) => (
                <rect key={status} class={`is-${status}`} x={index + 0.12} y={top} width={0.76} height={height} />
              ))}
            </g>
          ))}
        </svg>
      </div>
      <p class="axis" aria-hidden="true">
        <span>{timeText(bars[0]?.fromMs ?? 0, step)}</span>
        <span>{timeText((bars[last]?.toMs ?? 1) - (step === 'day' ? 1 : 0), step)}</span>
      </p>
    </div>
  );
}

/** The least height of what is there, in hundredths: one failure among thousands is seen. */
const LEAST_HEIGHT = 3;

function stacked({ counts }: Bar, ceiling: number): readonly { status: AuditStatus; top: number; height: number }[] {
  let top = 100;
  return STATUSES.flatMap((status) => {
    if (counts[status] === 0) return [];
    const height = Math.max(LEAST_HEIGHT, (counts[status] / ceiling) * 100);
    top -= height;
    return [{ status, top: Math.max(0, top), height }];
  });
}

const dayText = new Intl.DateTimeFormat('en', { weekday: 'short', month: 'short', day: 'numeric', timeZone: 'UTC' });
const hourText = new Intl.DateTimeFormat('en', {
  month: 'short',
  day: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
  hourCycle: 'h23',
});

/** Days are of UTC. Hours are the same everywhere, so they are shown in the viewer's own time. */
const timeText = (ms: number, step: Step): string =>
  step === 'day' ? `${dayText.format(ms)} UTC` : hourText.format(ms);

function rangeText({ fromMs, toMs }: Range, step: Step): string {
  return step === 'day' ? `${dayText.formatRange(fromMs, toMs - 1)} UTC` : hourText.formatRange(fromMs, toMs);
}
