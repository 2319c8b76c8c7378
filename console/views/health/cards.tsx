import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';
import type { Status } from '../../../package/client/types.ts';
import { Link } from '../../location.tsx';
import { bytes, count, plain } from '../../parts/figures.ts';
import { PersonName } from '../../parts/names.tsx';
import { reasonWords } from '../../parts/reasons.ts';
import { type Fact, Facts } from '../../parts/rows.tsx';
import { Badge } from '../../parts/states.tsx';
import { Time, useNow } from '../../parts/time.tsx';
import { paths } from '../../routes.ts';
import { databaseWords, factsOf, isOverdue, quotaUse } from './facts.ts';

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
    <OpenWork {...status} />
    <Tokens status={status} />
    <Card title="Database">
      <Meter used={status.d1_bytes ?? 0} most={status.d1_max_bytes} name="Size of the database" />
      <p>
        {status.d1_bytes !== null && `${bytes(status.d1_bytes)} of ${bytes(status.d1_max_bytes)}: `}
        {databaseWords(status.d1_bytes, status.d1_max_bytes)}
      </p>
      {status.trail_log && (
        <>
          <h3>Log of the trail</h3>
          <Known of={status.trail_log} without={['number', 'size', 'witnesses']} />
        </>
      )}
    </Card>
    <Card title="Lists of workspaces">
      <Lists lists={status.lists} />
    </Card>
    <Card title="Configuration">
      <Known
        of={{
          policy: status.policy.version,
          fingerprint_key: status.fingerprint_keys.current ?? 'none',
          webhooks_refused_in_a_day: status.webhooks.refused_24h,
        }}
      />
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

/** What is known of something, as the wire names it. */
export const Known = (props: {
  readonly of: object;
  readonly without?: readonly string[];
  readonly as?: 'facts' | 'figures';
}) => (
  <Facts
    as={props.as}
    facts={factsOf(props.of, props.without).map(({ name, kind, value, isAlarming }): Fact => [
      name,
      kind === 'time' ? <Time at={value} /> : kind === 'event' ? <Link to={paths.event(value)}>Its event</Link> : value,
      isAlarming ? 'danger' : undefined,
    ])}
  />
);

/** How much of something is used. The words beside it say the same. */
const Meter = ({ used, most, name }: { readonly used: number; readonly most: number; readonly name: string }) => (
  <meter min={0} max={most} low={most * 0.8} high={most * 0.95} optimum={0} value={used} aria-label={name} />
);

const QUOTA_WINDOWS = ['minute', 'hour'] as const;

const Quota = ({ quota }: { readonly quota: Status['quota'] }) => (
  <>
    {QUOTA_WINDOWS.map((name) => {
      const { used, limit, words } = quotaUse(quota[name]);
      return (
        <div key={name}>
          <h3>This {name}</h3>
          <Meter used={used} most={limit} name={`Calls of this ${name}`} />
          <p class="under">{words}</p>
          <Known of={quota[name]} without={['limit', 'reserved', 'remaining']} />
        </div>
      );
    })}
    <Known of={{ wait_until: quota.wait_until }} />
  </>
);

const Upstream = ({ upstream: { last_success_at: successAt, last_failure: failure } }: Pick<Status, 'upstream'>) => (
  <>
    <h3>Answers</h3>
    <Known of={{ last_success_at: successAt, last_failure_at: failure?.at ?? 'never' }} />
    {failure !== null && (
      <p class="under">
        {reasonWords(failure.reason).title} {failure.goes_on ? 'It goes on.' : 'It is over.'}{' '}
        {failure.error_code !== null && <code>{failure.error_code}</code>}
        {failure.upstream_status !== null && ` (HTTP ${failure.upstream_status})`}
      </p>
    )}
  </>
);

const Credentials = ({ status: { credentials, credential_renewal: renewal } }: { readonly status: Status }) => (
  <>
    {credentials.map((credential) => (
      <div key={credential.name}>
        <h3>
          <code>{credential.name}</code> {credential.in_use && <Badge tone="good">in use</Badge>}
        </h3>
        <Known of={credential} without={['name', 'in_use']} />
      </div>
    ))}
    <h3>Renewal</h3>
    {renewal === null ? (
      <p class="quiet">
        It does not renew itself. <a href="/docs/operate#the-renewal-of-the-admin-credential">How to switch that on</a>
      </p>
    ) : (
      <>
        <Known of={renewal} />
        {renewal.lost !== null && (
          <>
            <h3 class="problem">Lost</h3>
            <Known of={renewal.lost} />
          </>
        )}
      </>
    )}
  </>
);

/** What is not over yet, and what was given up. */
export function OpenWork({ open_attempts: attempts, orders }: Pick<Status, 'open_attempts' | 'orders'>) {
  const nowMs = useNow();
  return (
    <Card title="Open work">
      <Known of={attempts} as="figures" />
      <h3>Revocations</h3>
      <Known of={orders} as="figures" />
      {isOverdue(orders.next_scheduled_at, nowMs) && (
        <p class="problem">The time of the next rotation has passed: the cron does not run.</p>
      )}
    </Card>
  );
}

/** A number, and the page of the tokens that it counts. */
const counted = (title: string, number: number, show: string): Fact => [
  number === 0 ? title : <Link to={`${paths.tokens}?show=${show}`}>{title}</Link>,
  plain(number),
];

function Tokens({ status: { expiring, usage, token_limits: limits } }: { readonly status: Status }) {
  const { above_four_fifths: owners, more } = limits;
  return (
    <Card title="Tokens">
      {expiring !== undefined && (
        <Facts
          as="figures"
          facts={[
            counted('Expire within a day', expiring.within_1_day, 'expiring-7d'),
            counted('Within 7 days', expiring.within_7_days, 'expiring-7d'),
            counted('Within 30 days', expiring.within_30_days, 'expiring-30d'),
          ]}
        />
      )}
      {expiring?.more === true && <p class="under">Only the soonest 10,000 are counted.</p>}
      {usage !== undefined && (
        <>
          <h3>As of the last nightly look</h3>
          <Facts
            as="figures"
            facts={[
              counted('Unused', usage.unused, 'unused'),
              counted('Never used', usage.never_used, 'never-used'),
              ['Workspaces looked at', plain(usage.workspaces)],
            ]}
          />
          {usage.unknown.workspaces > 0 && <Known of={usage.unknown} />}
        </>
      )}
      {owners.length > 0 && (
        <>
          <h3>Owners near their limit</h3>
          <Facts
            as="figures"
            facts={owners.map(({ issuer, subject, live, limit }): Fact => [
              <PersonName person={{ issuer, subject, label: null }} />,
              `${plain(live)} of ${plain(limit)}`,
            ])}
          />
          {more && <p class="under">There may be others.</p>}
        </>
      )}
    </Card>
  );
}

const LIST_STATES = {
  partial: 'Shown in part',
  unproven: 'Perhaps not whole',
  unavailable: 'Not there any more',
} as const;

const Lists = ({ lists }: { readonly lists: Status['lists'] }) => (
  <>
    <p>{count(lists.complete.workspaces, 'workspace is', 'workspaces are')} listed whole.</p>
    <Known of={lists.complete} without={['workspaces']} as="figures" />
    {(['partial', 'unproven', 'unavailable'] as const).map((state) =>
      lists[state].workspaces === 0 ? null : (
        <div key={state}>
          <h3>{LIST_STATES[state]}</h3>
          <p class="under">{lists[state].what_to_do}</p>
          <Known of={lists[state]} without={['what_to_do']} />
        </div>
      ),
    )}
  </>
);
