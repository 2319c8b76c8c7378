import { useEffect, useMemo, useState } from 'preact/hooks';
import type { Failure } from '../../package/client/failure.ts';
import type { AuditEvent } from '../../package/client/types.ts';
import { useViewer, type Viewer } from '../caller.tsx';
import { Link, navigate, useLocation } from '../location.tsx';
import { holdsSecret } from '../parts/secrets.ts';
import { FailureNotice } from '../parts/failure.tsx';
import { MoreButton } from '../parts/lists.tsx';
import { Empty, Loading, Page } from '../parts/states.tsx';
import { paths } from '../routes.ts';
import { Bars } from './activity/bars.tsx';
import { EventList } from './activity/event-list.tsx';
import { ExportDialog } from './activity/export-dialog.tsx';
import { placeOf, placePath, questionPath, withoutRange, withRange } from './activity/place.ts';
import { QuestionInput } from './activity/question-input.tsx';
import { type FilterName, filterOf, namesActions, type Term } from './activity/question.ts';
import { type Saved, SAVED, SAVED_OF_ONES_OWN } from './activity/saved.ts';
import type { TokenNames } from './activity/sentence-line.tsx';
import { useTokenNames } from './activity/token-names.ts';
import { type Events, useEvents } from './activity/use-events.ts';

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
  const names = useTokenNames(events.events, viewer.may('tokens:read'));
  const known = useMemo(() => knownValues(events.events, viewer), [events.events]);
  const go = (next: readonly Term[], showsReads = place.showsReads): void => navigate(placePath(next, showsReads));

  return (
    <Page
      title={isOwn ? 'Your activity' : 'Activity'}
      actions={
        <>
          {!isEnded && (
            <LiveButton isPaused={isPaused} failure={events.failure} onToggle={() => setPaused(!isPaused)} />
          )}
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
            {withoutRange(terms).length < terms.length && (
              <p class="range">
                <button type="button" class="plain small" onClick={() => go(withoutRange(terms))}>
                  All times
                </button>
              </p>
            )}
          </>
        )}
        {filter !== null && <List events={events} names={names} isOwn={isOwn} />}
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

function LiveButton({
  isPaused,
  failure,
  onToggle,
}: {
  readonly isPaused: boolean;
  readonly failure: Failure | null;
  readonly onToggle: () => void;
}) {
  const [state, word, title] = isPaused
    ? ['', 'Paused', 'New events do not appear.']
    : failure === null
      ? ['good', 'Live', 'New events appear by themselves. Press to pause.']
      : ['danger', 'Not live', `No new events come in: ${failure.message}`];
  return (
    <button type="button" class={`feed ${state}`} aria-pressed={!isPaused} title={title} onClick={onToggle}>
      {word}
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
          <Link key={saved.title} to={to} class="button chip" aria-current={to === here ? 'page' : undefined}>
            {saved.title}
          </Link>
        );
      })}
    </nav>
  );
}

interface ListProps {
  readonly events: Events;
  readonly names: TokenNames;
  readonly isOwn: boolean;
}

function List({ events: { events, isLoading, failure, reload, hasOlder, older }, names, isOwn }: ListProps) {
  if (events.length > 0) {
    return (
      <>
        <EventList events={events} names={names} />
        {hasOlder ? (
          <MoreButton pages={{ hasMore: true, isPartial: false, more: older }} />
        ) : (
          <p class="end quiet">That is all.</p>
        )}
      </>
    );
  }
  if (isLoading) return <Loading what="Reading the trail" />;
  if (failure !== null) return <FailureNotice failure={failure} onRetry={reload} />;
  // A page by several filters may be empty, and there may be more.
  if (hasOlder) return <MoreButton pages={{ hasMore: true, isPartial: true, more: older }} />;
  return (
    <Empty title={isOwn ? 'You have done nothing of this here' : 'No event matches'}>
      <p>
        <Link to={paths.activity}>Show everything</Link>, or change the filter.
      </p>
    </Empty>
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
