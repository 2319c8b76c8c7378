import { useEffect, useRef, useState } from 'preact/hooks';
import type { AuditFilter } from '../../../package/client/requests.ts';
import type { AuditCount } from '../../../package/client/types.ts';
import type { AuditStatus } from '../../../package/client/vocabulary.ts';
import { AUDIT_STATUSES } from '../../../src/vocabulary.ts';
import { api, polling, usePolling, useReading } from '../../api.ts';
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
const FAILED_POLL_MS = 5_000;

type Counts = Readonly<Partial<Record<AuditStatus, readonly AuditCount[]>>>;
interface Counted {
  /** What is asked for, and what is drawn: the bars of it, and some around them where they are few. */
  readonly asked: Range;
  readonly drawn: Range;
  readonly counts: Counts;
  readonly isPartial: boolean;
}

/** From the bottom up. What failed stands on top, where it is seen however little it is. */
const STACK = ['success', 'attempted', 'failure'] as const satisfies readonly AuditStatus[];
const WORDS: Readonly<Record<AuditStatus, string>> = { success: 'done', failure: 'failed', attempted: 'open' };

const asMs = (time: string | undefined): number | null => (time === undefined ? null : Date.parse(time));

/** Counts a filter by status over its range. */
async function countOver(
  count: typeof api.audit.counts,
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
  const statuses = filter.status === undefined ? AUDIT_STATUSES : [filter.status];
  const answers = await Promise.all(
    statuses.map(async (status) => [status, await count({ ...rest, ...times, status, by }, { signal })] as const),
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
  const reading = useReading(questionKey, async (signal) => await countOver(api.audit.counts, filter, signal));
  const [polled, setPolled] = useState<{ readonly key: string; readonly counted: Counted } | null>(null);
  const counted = polled?.key === questionKey ? polled.counted : reading.data;
  usePolling(
    async (signal) => {
      const again = await countOver(polling.audit.counts, filter, signal);
      setPolled({ key: questionKey, counted: again });
    },
    // What did not arrive is in no trail, so it is tried again soon.
    counted === null && reading.failure?.code === 'client_unreachable' ? FAILED_POLL_MS : COUNT_POLL_MS,
    isLive && !reading.isLoading,
  );
  if (counted === null) {
    return (
      <div class="bars is-empty">
        {reading.failure !== null && <p class="quiet">The bars are missing: {reading.failure.message}</p>}
      </div>
    );
  }
  const bars = barsOf(counted.drawn, counted.counts);
  return (
    <Chart
      bars={bars}
      asked={counted.asked}
      step={stepOf(counted.drawn)}
      isPartial={counted.isPartial}
      onChoose={onChoose}
    />
  );
}

interface ChartProps {
  readonly bars: readonly Bar[];
  readonly asked: Range;
  readonly step: Step;
  readonly isPartial: boolean;
  readonly onChoose: (range: Range) => void;
}

function Chart({ bars, asked, step, isPartial, onChoose }: ChartProps) {
  const plot = useRef<HTMLDivElement>(null);
  /** The bar that is pointed at or has the focus, and the one at which a range began. */
  const [cursor, setCursor] = useState<number | null>(null);
  const [anchor, setAnchor] = useState<number | null>(null);
  const isDragging = useRef(false);
  const last = bars.length - 1;
  useEffect(() => {
    setCursor(null);
    setAnchor(null);
  }, [bars[0]?.fromMs, bars.length]);

  const indexAt = (event: PointerEvent): number => {
    const box = plot.current?.getBoundingClientRect();
    if (box === undefined || box.width === 0) return 0;
    return Math.min(last, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * bars.length)));
  };
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
  const sums = AUDIT_STATUSES.toReversed()
    .map((status) => ({ status, sum: told.reduce((total, { counts }) => total + counts[status], 0) }))
    .filter(({ sum }) => sum > 0);
  const span = { fromMs: told[0]?.fromMs ?? 0, toMs: told.at(-1)?.toMs ?? 0 };
  return (
    <div class="bars">
      <p class="told">
        <span class="span">{rangeText(span, step)}</span>
        {sums.map(({ status, sum }) => (
          <span key={status} class={`count is-${status}`}>
            <strong>{sum.toLocaleString('en')}</strong> {WORDS[status]}
          </span>
        ))}
        {sums.length === 0 && <span class="quiet">No events</span>}
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
        aria-valuetext={`${rangeText(span, step)}: ${sums.map(({ status, sum }) => `${sum} ${WORDS[status]}`).join(', ') || 'no events'}`}
        onKeyDown={onKey}
        onFocus={() => setCursor((before) => before ?? last)}
        onBlur={() => {
          setCursor(null);
          setAnchor(null);
        }}
        onPointerDown={(event) => {
          if (event.button !== 0) return;
          isDragging.current = true;
          event.currentTarget.setPointerCapture(event.pointerId);
          setAnchor(indexAt(event));
          setCursor(indexAt(event));
        }}
        onPointerMove={(event) => setCursor(indexAt(event))}
        onPointerUp={(event) => {
          if (!isDragging.current) return;
          isDragging.current = false;
          choose(anchor ?? indexAt(event), indexAt(event));
        }}
        onPointerCancel={() => {
          isDragging.current = false;
          setAnchor(null);
        }}
        onPointerLeave={() => {
          if (!isDragging.current && document.activeElement !== plot.current) setCursor(null);
        }}
      >
        <span class="top" aria-hidden="true">
          {ceiling.toLocaleString('en')}
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
  return STACK.flatMap((status) => {
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
