import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';
import type { ExplainedLists, Status } from '../../../package/client/types.ts';
import { Link } from '../../location.tsx';
import { Id } from '../../parts/copy.tsx';
import { bytes, count, plain } from '../../parts/figures.ts';
import { PersonName } from '../../parts/names.tsx';
import { reasonWords } from '../../parts/reasons.ts';
import { Badge } from '../../parts/states.tsx';
import { Time, useNow } from '../../parts/time.tsx';
import { paths } from '../../routes.ts';
import { databaseWords, isOverdue, LIST_WORDS, openWork, quotaUse } from './facts.ts';

// What `/status` says, a card for each part of it.

export const Cards = ({ status }: { readonly status: Status }) => (
  <div class="cards">
    <Card title="Calls to PipeOps">
      <Quota quota={status.quota} />
      <Upstream upstream={status.upstream} />
    </Card>
    <Card title="Credential">
      <Credentials status={status} />
    </Card>
    <Card title="Open work">
      <Figures open_attempts={status.open_attempts} orders={status.orders} />
    </Card>
    <Card title="Tokens that expire">
      <Expiring expiring={status.expiring} />
    </Card>
    <Card title="Use of tokens">
      <Usage usage={status.usage} />
    </Card>
    <Card title="Database">
      <Meter used={status.d1_bytes ?? 0} most={status.d1_max_bytes} name="Size of the database" />
      <p>
        {status.d1_bytes !== null && `${bytes(status.d1_bytes)} of ${bytes(status.d1_max_bytes)}: `}
        {databaseWords(status.d1_bytes, status.d1_max_bytes)}
      </p>
      {status.d1_nearly_full && <p class="problem">{reasonWords('d1_size').title}</p>}
    </Card>
    <Card title="Lists of workspaces">
      <Lists lists={status.lists} />
    </Card>
    <Card title="Owners near their limit">
      <NearLimit limits={status.token_limits} />
    </Card>
    <Card title="Configuration">
      <Configuration status={status} />
    </Card>
  </div>
);

function Card({ title, children }: { readonly title: string; readonly children: ComponentChildren }) {
  const id = useId();
  return (
    <section class="card" aria-labelledby={id}>
      <h2 id={id}>{title}</h2>
      {children}
    </section>
  );
}

/** How much of something is used. The words beside it say the same. */
const Meter = ({ used, most, name }: { readonly used: number; readonly most: number; readonly name: string }) => (
  <meter min={0} max={most} low={most * 0.8} high={most * 0.95} optimum={0} value={used} aria-label={name} />
);

const Fact = ({ name, children }: { readonly name: string; readonly children: ComponentChildren }) => (
  <div>
    <dt>{name}</dt>
    <dd>{children}</dd>
  </div>
);

const TimeOr = ({ at, none }: { readonly at: string | null; readonly none: string }) =>
  at === null ? <span class="quiet">{none}</span> : <Time at={at} />;

function Quota({ quota }: { readonly quota: Status['quota'] }) {
  return (
    <>
      {(['minute', 'hour'] as const).map((name) => {
        const { used, limit, words } = quotaUse(quota[name]);
        const { resets_at: resetsAt } = quota[name];
        return (
          <div key={name} class="meter">
            <h3>This {name}</h3>
            <Meter used={used} most={limit} name={`Calls of this ${name}`} />
            <p>
              {words}
              {resetsAt !== null && (
                <>
                  {' '}
                  It begins anew <Time at={resetsAt} />.
                </>
              )}
            </p>
          </div>
        );
      })}
      {quota.wait_until !== null && (
        <p class="problem">
          PipeOps asks to wait: until <Time at={quota.wait_until} />.
        </p>
      )}
    </>
  );
}

const Upstream = ({ upstream: { last_success_at: successAt, last_failure: failure } }: Pick<Status, 'upstream'>) => (
  <dl class="facts">
    <Fact name="Answered well last">
      <TimeOr at={successAt} none="not yet" />
    </Fact>
    <Fact name="Failed last">
      <TimeOr at={failure?.at ?? null} none="never" />
      {failure !== null && (
        <p class="under">
          {reasonWords(failure.reason).title} {failure.error_code !== null && <code>{failure.error_code}</code>}
          {failure.upstream_status !== null && ` (HTTP ${failure.upstream_status})`}
          {failure.goes_on ? ' It goes on.' : ' It is over.'}
        </p>
      )}
    </Fact>
  </dl>
);

function Credentials({ status: { credentials, credential_renewal: renewal } }: { readonly status: Status }) {
  return (
    <>
      {credentials.map((credential) => (
        <div key={credential.name} class="credential">
          <h3>
            <code>{credential.name}</code> {credential.in_use && <Badge tone="good">in use</Badge>}
          </h3>
          <dl class="facts">
            <Fact name="Ends">
              <TimeOr at={credential.expires_at} none="it does not say" />
            </Fact>
            <Fact name="Accepted last">
              <TimeOr at={credential.last_accepted_at} none="not yet" />
            </Fact>
            <Fact name="Refused last">
              <TimeOr at={credential.last_refused_at} none="never" />
            </Fact>
          </dl>
        </div>
      ))}
      <h3>Renewal</h3>
      {renewal === null ? (
        <p class="quiet">
          It does not renew itself.{' '}
          <a href="/docs/operate#the-renewal-of-the-admin-credential">How to switch that on</a>
        </p>
      ) : (
        <dl class="facts">
          <Fact name="Renewed">
            <TimeOr at={renewal.renewed_at} none="not yet" />, {count(renewal.renewals, 'time')} in all
          </Fact>
          <Fact name="Due">
            <TimeOr at={renewal.due_at} none="not known" />
          </Fact>
          <Fact name="Tried last">
            <TimeOr at={renewal.last_tried_at} none="not yet" />{' '}
            {renewal.last_error !== null && <code>{renewal.last_error}</code>}
          </Fact>
          {renewal.lost !== null && (
            <Fact name="Lost">
              <TimeOr at={renewal.lost.since} none="since when is not known" />:{' '}
              {renewal.lost.because.replaceAll('_', ' ')}{' '}
              {renewal.lost.event_id !== null && <Link to={paths.event(renewal.lost.event_id)}>Its event</Link>}
            </Fact>
          )}
        </dl>
      )}
    </>
  );
}

/** What is not over yet, and what was given up. */
export function Figures(props: Pick<Status, 'open_attempts' | 'orders'>) {
  const nowMs = useNow();
  const { open_attempts: attempts, orders } = props;
  const next = orders.next_scheduled_at;
  return (
    <dl class="figures">
      {openWork(props).map(({ name, number, tone, meaning }) => (
        <div key={name}>
          <dt>
            {name}
            {number > 0 && <span class="under">{meaning}</span>}
          </dt>
          <dd class={tone}>{plain(number)}</dd>
        </div>
      ))}
      {attempts.oldest_at !== null && (
        <div>
          <dt>Oldest attempt</dt>
          <dd>
            <Time at={attempts.oldest_at} />
          </dd>
        </div>
      )}
      {orders.oldest_at !== null && (
        <div>
          <dt>Oldest revocation</dt>
          <dd>
            <Time at={orders.oldest_at} />
          </dd>
        </div>
      )}
      {next !== null && (
        <div>
          <dt>
            Next rotated token to be revoked
            {isOverdue(next, nowMs) && <span class="problem under">This time has passed: the cron does not run.</span>}
          </dt>
          <dd>
            <Time at={next} />
          </dd>
        </div>
      )}
    </dl>
  );
}

const DAY_MS = 86_400_000;

function Expiring({ expiring }: { readonly expiring: Status['expiring'] }) {
  const nowMs = useNow();
  if (expiring === undefined) return <p class="quiet">This service does not say.</p>;
  const rows = [
    { days: 1, title: 'Within a day', number: expiring.within_1_day },
    { days: 7, title: 'Within a week', number: expiring.within_7_days },
    { days: 30, title: 'Within 30 days', number: expiring.within_30_days },
  ];
  return (
    <>
      <dl class="figures">
        {rows.map(({ days, title, number }) => (
          <div key={days}>
            <dt>{number === 0 ? title : <Link to={expiringPath(days, nowMs)}>{title}</Link>}</dt>
            <dd class={days === 1 && number > 0 ? 'warning' : ''}>{plain(number)}</dd>
          </div>
        ))}
      </dl>
      {expiring.more && <p class="under">Only the soonest 10,000 are counted.</p>}
    </>
  );
}

/** The filter of the Tokens page, by whole minutes so that it is the same link as time goes on. */
function expiringPath(days: number, nowMs: number): string {
  const minuteMs = Math.floor(nowMs / 60_000) * 60_000;
  const search = new URLSearchParams({
    expires_from: new Date(minuteMs).toISOString(),
    expires_to: new Date(minuteMs + days * DAY_MS).toISOString(),
  });
  return `${paths.tokens}?${search.toString()}`;
}

function Usage({ usage }: { readonly usage: Status['usage'] }) {
  if (usage === undefined) return <p class="quiet">This service does not say.</p>;
  const { workspaces, unknown, unused, never_used: neverUsed } = usage;
  return (
    <>
      <dl class="figures">
        <div>
          <dt>{unused === 0 ? 'Unused' : <Link to={`${paths.tokens}?usage=unused`}>Unused</Link>}</dt>
          <dd>{plain(unused)}</dd>
        </div>
        <div>
          <dt>{neverUsed === 0 ? 'Never used' : <Link to={`${paths.tokens}?usage=never_used`}>Never used</Link>}</dt>
          <dd>{plain(neverUsed)}</dd>
        </div>
        <div>
          <dt>Workspaces that are looked at each night</dt>
          <dd>{plain(workspaces)}</dd>
        </div>
        {unknown.workspaces > 0 && (
          <div>
            <dt>Workspaces in which PipeOps fills in no times of use</dt>
            <dd class="warning">{plain(unknown.workspaces)}</dd>
          </div>
        )}
      </dl>
      <Workspaces uuids={unknown.workspace_uuids} all={unknown.workspaces} />
      {unknown.what_to_do !== null && <p class="under">{unknown.what_to_do}</p>}
    </>
  );
}

const Workspaces = ({ uuids, all }: { readonly uuids: readonly string[]; readonly all: number }) =>
  uuids.length === 0 ? null : (
    <ul class="plain-list">
      {uuids.map((uuid) => (
        <li key={uuid}>
          <Id value={uuid} />
        </li>
      ))}
      {all > uuids.length && <li class="quiet">and {count(all - uuids.length, 'other')}</li>}
    </ul>
  );

function Lists({ lists }: { readonly lists: Status['lists'] }) {
  const explained = (['partial', 'unproven', 'unavailable'] as const).filter((state) => lists[state].workspaces > 0);
  const { complete } = lists;
  return (
    <>
      <dl class="figures">
        <div>
          <dt>{LIST_WORDS.complete}</dt>
          <dd>{plain(complete.workspaces)}</dd>
        </div>
        {explained.map((state) => (
          <div key={state}>
            <dt>{LIST_WORDS[state]}</dt>
            <dd class="warning">{plain(lists[state].workspaces)}</dd>
          </div>
        ))}
      </dl>
      {explained.map((state) => (
        <ListState key={state} title={LIST_WORDS[state]} lists={lists[state]} />
      ))}
    </>
  );
}

const ListState = ({ title, lists }: { readonly title: string; readonly lists: ExplainedLists }) => (
  <div class="list-state">
    <h3>{title}</h3>
    <p class="under">
      {lists.since !== null && (
        <>
          Since <Time at={lists.since} />.{' '}
        </>
      )}
      {lists.open_creates > 0 && `${count(lists.open_creates, 'create waits', 'creates wait')} for a list. `}
      {lists.what_to_do}
    </p>
    <Workspaces uuids={lists.workspace_uuids} all={lists.workspaces} />
  </div>
);

function NearLimit({ limits: { above_four_fifths: owners, more } }: { readonly limits: Status['token_limits'] }) {
  if (owners.length === 0) return <p class="quiet">Nobody holds more than four fifths of what their roles allow.</p>;
  return (
    <>
      <dl class="figures">
        {owners.map(({ issuer, subject, live, limit }) => (
          <div key={`${issuer}|${subject}`}>
            <dt>
              <PersonName person={{ issuer, subject, label: null }} />
            </dt>
            <dd>
              {plain(live)} of {plain(limit)}
            </dd>
          </div>
        ))}
      </dl>
      {more && <p class="under">There may be others.</p>}
    </>
  );
}

const Configuration = ({ status }: { readonly status: Status }) => {
  const { policy, fingerprint_keys: keys, webhooks } = status;
  return (
    <dl class="facts">
      <Fact name="Policy">
        <code>{policy.version}</code>
      </Fact>
      <Fact name="Fingerprint key">
        {keys.current === null ? <span class="quiet">none</span> : <code>{keys.current}</code>}
        {keys.missing.length > 0 && <p class="problem">Missing: {keys.missing.join(', ')}</p>}
      </Fact>
      <Fact name="Refused webhooks">
        {webhooks.refused_24h === 0 ? (
          <span class="quiet">none in a day</span>
        ) : (
          <Link to={paths.webhooks}>{plain(webhooks.refused_24h)} in a day</Link>
        )}
      </Fact>
    </dl>
  );
};
