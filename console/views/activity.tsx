import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { AuditEvent } from '../../package/client/types.ts';
import { useViewer, type Viewer } from '../caller.tsx';
import { Link, navigate, useLocation } from '../location.tsx';
import { holdsSecret } from '../parts/secrets.ts';
import { FailureNotice } from '../parts/failure.tsx';
import { Empty, Loading, Page } from '../parts/states.tsx';
import { paths } from '../routes.ts';
import { Bars } from './activity/bars.tsx';
import { askedRange, zoomedOut } from './activity/buckets.ts';
import { EventList } from './activity/event-list.tsx';
import { ExportDialog } from './activity/export-dialog.tsx';
import { placeOf, placePath, questionPath, withoutRange, withRange } from './activity/place.ts';
import { QuestionInput } from './activity/question-input.tsx';
import { type FilterName, filterOf, namesActions, type Term } from './activity/question.ts';
import { type Saved, SAVED, SAVED_OF_ONES_OWN } from './activity/saved.ts';
import { useTokenNames } from './activity/token-names.ts';
import { type Events, useEvents } from './activity/use-events.ts';

/** Further down than this, in CSS pixels, the list does not move by itself. */
const AT_TOP_PX = 160;

/** What happened: the trail as sentences, by questions to it. Who may not read all of it sees what it did itself. */
export function ActivityView() {
  const viewer = useViewer();
  const { search } = useLocation();
  const isOwn = !viewer.may('audit:read');
  const address = search.toString();
  const place = useMemo(() => placeOf(search), [address]);
  const { terms, problems } = place.question;
  useEffect(() => {
    // Somebody's link may hold a secret. It does not stay in the address bar.
    if ([...search.values()].some(holdsSecret)) navigate(paths.activity, { replace: true });
  }, [address]);
  const key = `${address} ${isOwn}`;
  // "The last day" is that day when it was asked for. So all pages and polls of a question ask the same.
  const filter = useMemo(
    () => (problems.length > 0 ? null : filterOf(terms, { showsReads: place.showsReads, isOwn, nowMs: Date.now() })),
    [key],
  );
  const [isPaused, setPaused] = useState(false);
  const [isExporting, setExporting] = useState(false);
  const isEnded = terms.some(({ name }) => name === 'to');
  const isLive = !isPaused && !isEnded;
  const events = useEvents(key, filter, isLive);
  const { shown, waiting, show } = useHeldBack(key, events.events);
  const names = useTokenNames(shown, viewer.may('tokens:read'));
  const known = useMemo(() => knownValues(events.events, viewer), [events.events]);
  const go = (next: readonly Term[], showsReads = place.showsReads): void => navigate(placePath(next, showsReads));

  return (
    <Page
      title={isOwn ? 'Your activity' : 'Activity'}
      actions={
        <>
          {!isEnded && <LiveButton isPaused={isPaused} events={events} onToggle={() => setPaused(!isPaused)} />}
          {!isOwn && (
            <button type="button" disabled={filter === null} onClick={() => setExporting(true)}>
              Export
            </button>
          )}
        </>
      }
    >
      <div class="activity">
        <QuestionInput typed={place.typed} problems={problems} known={known} onAsk={(next) => go(next)} />
        <div class="asked">
          <SavedQuestions
            questions={isOwn ? SAVED_OF_ONES_OWN : SAVED}
            typed={place.typed}
            showsReads={place.showsReads}
          />
          <button
            type="button"
            class="chip"
            aria-pressed={!place.showsReads && !namesActions(terms)}
            disabled={namesActions(terms)}
            title="Reads change nothing, and are most of a trail."
            onClick={() => go(terms, !place.showsReads)}
          >
            Reads hidden
          </button>
        </div>
        {!isOwn && filter !== null && (
          <>
            <Bars
              questionKey={key}
              filter={filter}
              isLive={isLive}
              onChoose={(range) => go(withRange(terms, range, Date.now()))}
            />
            <RangeButtons terms={terms} from={filter.from} to={filter.to} onGo={go} />
          </>
        )}
        <div class="newer" role="status">
          {waiting > 0 && (
            <button type="button" class="primary" onClick={show}>
              {waiting === 1 ? '1 new event' : `${waiting} new events`}
            </button>
          )}
        </div>
        <List events={events} shown={shown} names={names} isAsked={filter !== null} isOwn={isOwn} />
      </div>
      {isExporting && filter !== null && (
        <ExportDialog
          filter={filter}
          typed={place.typed}
          hasReads={place.showsReads || namesActions(terms)}
          onClose={() => setExporting(false)}
        />
      )}
    </Page>
  );
}

/** Keeps new events back while the list is read further down: they would push it away. */
function useHeldBack(key: string, events: readonly AuditEvent[]) {
  const [heldAbove, setHeldAbove] = useState<number | null>(null);
  const newest = events[0]?.seq ?? 0;
  const seen = useRef({ key, newest });
  if (seen.current.key !== key || scrollY <= AT_TOP_PX) seen.current = { key, newest: Math.max(newest, 0) };
  useEffect(() => setHeldAbove(null), [key]);
  useEffect(() => {
    if (newest > seen.current.newest && seen.current.newest > 0)
      setHeldAbove((before) => before ?? seen.current.newest);
  }, [newest]);
  const show = (): void => {
    seen.current = { key, newest };
    setHeldAbove(null);
    scrollTo(0, 0);
  };
  useEffect(() => {
    if (heldAbove === null) return;
    const look = (): void => {
      if (scrollY <= AT_TOP_PX) setHeldAbove(null);
    };
    addEventListener('scroll', look, { passive: true });
    return () => removeEventListener('scroll', look);
  }, [heldAbove]);
  // Before the effect has run, the new ones are held already.
  const above = heldAbove ?? (scrollY > AT_TOP_PX && seen.current.newest > 0 ? seen.current.newest : null);
  const shown = above === null ? events : events.filter(({ seq }) => seq <= above);
  return { shown, waiting: events.length - shown.length, show };
}

function LiveButton({
  isPaused,
  events,
  onToggle,
}: {
  readonly isPaused: boolean;
  readonly events: Events;
  readonly onToggle: () => void;
}) {
  const isStuck = !isPaused && events.liveFailure !== null;
  return (
    <button
      type="button"
      class={isPaused ? 'live' : isStuck ? 'live is-stuck' : 'live is-on'}
      aria-pressed={!isPaused}
      title={isStuck ? events.liveFailure?.message : 'New events appear by themselves while this is on.'}
      onClick={onToggle}
    >
      {isPaused ? 'Paused' : isStuck ? 'Not live' : 'Live'}
    </button>
  );
}

function SavedQuestions({
  questions,
  typed,
  showsReads,
}: {
  readonly questions: readonly Saved[];
  readonly typed: string;
  readonly showsReads: boolean;
}) {
  const here = questionPath(typed, showsReads);
  return (
    <nav aria-label="Saved questions" class="chips">
      {questions.map((saved) => {
        const to = questionPath(saved.query, saved.showsReads);
        return (
          <Link
            key={saved.title}
            to={to}
            class={to === here ? 'button chip is-current' : 'button chip'}
            aria-current={to === here ? 'page' : undefined}
          >
            {saved.title}
          </Link>
        );
      })}
    </nav>
  );
}

function RangeButtons(props: {
  readonly terms: readonly Term[];
  readonly from: string | undefined;
  readonly to: string | undefined;
  readonly onGo: (terms: readonly Term[]) => void;
}) {
  const { terms, from, to, onGo } = props;
  if (from === undefined && to === undefined) return null;
  const nowMs = Date.now();
  const range = askedRange(
    from === undefined ? null : Date.parse(from),
    to === undefined ? null : Date.parse(to),
    nowMs,
  );
  const wider = zoomedOut(range, nowMs);
  return (
    <p class="range">
      {wider !== null && (
        <button type="button" class="plain small" onClick={() => onGo(withRange(terms, wider, nowMs))}>
          Zoom out
        </button>
      )}
      <button type="button" class="plain small" onClick={() => onGo(withoutRange(terms))}>
        All times
      </button>
    </p>
  );
}

interface ListProps {
  readonly events: Events;
  readonly shown: readonly AuditEvent[];
  readonly names: ReadonlyMap<string, string>;
  readonly isAsked: boolean;
  readonly isOwn: boolean;
}

function List({ events, shown, names, isAsked, isOwn }: ListProps) {
  const { isLoading, failure, hasOlder } = events;
  if (!isAsked) return null;
  if (isLoading) return <Loading what="Reading the trail" />;
  return (
    <>
      {shown.length > 0 && <EventList events={shown} anchorId={events.anchorId} names={names} />}
      {failure !== null && (
        <FailureNotice failure={failure} onRetry={shown.length === 0 ? events.reload : events.loadOlder} />
      )}
      {shown.length === 0 && failure === null && !hasOlder && (
        <Empty title={isOwn ? 'You have done nothing of this here' : 'No event matches'}>
          <p>
            <Link to={paths.activity}>Show everything</Link>, or change the filter.
          </p>
        </Empty>
      )}
      {hasOlder && failure === null && <Older events={events} />}
      {shown.length > 0 && !hasOlder && <p class="end quiet">That is all.</p>}
    </>
  );
}

/** Older events are loaded when the end of the list comes near, or by hand. */
function Older({ events }: { readonly events: Events }) {
  const place = useRef<HTMLDivElement>(null);
  const load = useRef(events.loadOlder);
  load.current = events.loadOlder;
  const count = events.events.length;
  useEffect(() => {
    const element = place.current;
    if (element === null || events.isLoadingOlder || count === 0) return;
    const observer = new IntersectionObserver(
      (entries) => {
        if (entries.some(({ isIntersecting }) => isIntersecting)) load.current();
      },
      { rootMargin: '600px 0px' },
    );
    observer.observe(element);
    return () => observer.disconnect();
  }, [count, events.isLoadingOlder]);
  return (
    <div ref={place} class="older">
      {count === 0 && <p class="quiet">The newest part of the trail has no such event.</p>}
      <button type="button" disabled={events.isLoadingOlder} onClick={() => events.loadOlder()}>
        {events.isLoadingOlder ? 'Reading…' : count === 0 ? 'Look further back' : 'Load older'}
      </button>
    </div>
  );
}

/** What can be suggested for filters that take any text: what is on the page, and what the viewer's roles name. */
function knownValues(
  events: readonly AuditEvent[],
  { whoami: { roles } }: Viewer,
): Readonly<Partial<Record<FilterName, readonly string[]>>> {
  const of = (read: (event: AuditEvent) => unknown): readonly string[] => [
    ...new Set(events.map(read).filter((value) => typeof value === 'string')),
  ];
  const scopes = events.flatMap(({ detail }) => (Array.isArray(detail['scopes']) ? detail['scopes'] : []));
  return {
    actor: ['me', ...of(({ actor }) => actor.label), ...of(({ actor }) => actor.subject)],
    scope: [...new Set([...roles.flatMap((role) => role.scopes.filter((scope) => scope !== '*')), ...scopes])].filter(
      (scope) => typeof scope === 'string',
    ),
    role: [...new Set([...roles.map(({ name }) => name), ...of(({ detail }) => detail['role'])])],
    name: of((event) => event.token_name),
    token: of((event) => event.token_id),
    workspace: of((event) => event.workspace_uuid),
    request: of((event) => event.request_id),
    ip: of((event) => event.ip),
    policy: of(({ detail }) => detail['policy']),
  };
}
