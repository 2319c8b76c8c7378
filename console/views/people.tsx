import { useEffect, useState } from 'preact/hooks';
import type { Subject } from '../../package/client/types.ts';
import { useViewer } from '../caller.tsx';
import { Link, navigate, useLocation, withSearch } from '../location.tsx';
import { usePages } from '../parts/following.ts';
import { MoreButton, NoPermission, Stale } from '../parts/lists.tsx';
import { nameInFilters, PersonName } from '../parts/names.tsx';
import { Table } from '../parts/rows.tsx';
import { Badge, Empty, Loading, Page } from '../parts/states.tsx';
import { Time } from '../parts/time.tsx';
import { paths } from '../routes.ts';
import { OffboardDialog } from './people/offboard.tsx';
import { blockedBy, mayOffboard, tokenCounts } from './people/words.ts';

/** Who owns tokens, and who is blocked. */
export function PeopleView() {
  const viewer = useViewer();
  const actions = mayOffboard(viewer.whoami.roles) ? <OffboardAnybody /> : undefined;
  return viewer.may('audit:read') ? (
    <Page title="People" actions={actions}>
      <People />
    </Page>
  ) : (
    <NoPermission title="People" permission="audit:read" actions={actions} />
  );
}

const FILTERS = [
  { blocked: null, title: 'Everybody' },
  { blocked: 'true', title: 'Blocked' },
  { blocked: 'false', title: 'Not blocked' },
] as const;

function People() {
  const { search } = useLocation();
  const q = search.get('q') ?? '';
  const given = search.get('blocked');
  const blocked = FILTERS.some((filter) => filter.blocked === given) ? given : null;
  const pages = usePages<Subject>(
    `people ${q} ${blocked ?? ''}`,
    async (client, cursor, signal) =>
      await client.subjects.list(
        { limit: 50, cursor, ...(q !== '' && { q }), ...(blocked !== null && { blocked: blocked === 'true' }) },
        signal === undefined ? {} : { signal },
      ),
  );
  const { items } = pages;
  return (
    <>
      <div class="filters">
        <Search q={q} />
        <div class="chips">
          {FILTERS.map((filter) => (
            <button
              key={filter.title}
              type="button"
              class="chip"
              aria-pressed={filter.blocked === blocked}
              onClick={() => navigate(withSearch({ blocked: filter.blocked }))}
            >
              {filter.title}
            </button>
          ))}
        </div>
      </div>
      <Stale following={pages} />
      {items === null && pages.isLoading && <Loading />}
      {items?.length === 0 && !pages.hasMore && <Nobody q={q} blocked={blocked} />}
      {items !== null && items.length > 0 && <PeopleTable people={items} />}
      <MoreButton pages={pages} />
    </>
  );
}

const PAUSE_MS = 300;

/** The search follows what is typed, once the typing pauses. */
function Search({ q }: { readonly q: string }) {
  const [typed, setTyped] = useState(q);
  useEffect(() => setTyped(q), [q]);
  useEffect(() => {
    if (typed === q) return;
    const timer = setTimeout(() => navigate(withSearch({ q: typed }), { replace: true }), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  return (
    <label class="search">
      <span class="visually-hidden">Search people</span>
      <input
        type="search"
        value={typed}
        maxLength={128}
        placeholder="What a name or an e-mail address begins with"
        onInput={(event) => setTyped(event.currentTarget.value)}
      />
    </label>
  );
}

function Nobody({ q, blocked }: { readonly q: string; readonly blocked: string | null }) {
  if (q !== '') {
    return (
      <Empty title="Nobody’s name begins so">
        <p>The search compares the beginning of subjects and labels.</p>
      </Empty>
    );
  }
  return blocked === 'true' ? (
    <Empty title="Nobody is blocked" />
  ) : (
    <Empty title="Nobody owns a token yet">
      <p>Whoever creates a token through this service appears here.</p>
    </Empty>
  );
}

const PeopleTable = ({ people }: { readonly people: readonly Subject[] }) => (
  <Table heads={['Who', 'Issuer', 'Tokens', 'State']}>
    {people.map((person) => (
      <PersonRow key={nameInFilters(person)} person={person} />
    ))}
  </Table>
);

function PersonRow({ person }: { readonly person: Subject }) {
  const { issuer, subject, label, tokens, blocks } = person;
  return (
    <tr>
      <td class="wide">
        {issuer === null ? (
          <Link class="person" to={paths.person(label ?? '')}>
            {label}
          </Link>
        ) : (
          <PersonName person={person} />
        )}
        {label !== null && subject !== null && label !== subject && <p class="under">{subject}</p>}
        {issuer === null && <p class="under">Whoever comes with this label</p>}
      </td>
      <td class="issuer">{issuer ?? 'any issuer'}</td>
      <td class="count">{issuer === null ? '' : tokenCounts(tokens)}</td>
      <td>
        {blocks.length === 0 ? <span class="quiet">Not blocked</span> : <Badge tone="danger">Blocked</Badge>}
        {blocks.map((block) => (
          <p key={`${block.delivery_id ?? ''}${block.by}`} class="under">
            {block.delivery_id === undefined ? (
              blockedBy(block)
            ) : (
              <Link
                to={
                  block.reason === undefined ? paths.delivery(block.delivery_id) : paths.revocation(block.delivery_id)
                }
              >
                {blockedBy(block)}
              </Link>
            )}{' '}
            blocked the {block.by} <Time at={block.since} />
            {block.reason !== undefined && `: ${block.reason}`}
          </p>
        ))}
      </td>
    </tr>
  );
}

/** Somebody who owns no token here can be offboarded too, by the label that their JWTs carry. */
function OffboardAnybody() {
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      <button type="button" class="danger" onClick={() => setOpen(true)}>
        Offboard somebody…
      </button>
      {isOpen && (
        <OffboardDialog
          person={null}
          onClose={() => setOpen(false)}
          onOrdered={(receipt) => navigate(paths.revocation(receipt.id))}
        />
      )}
    </>
  );
}
