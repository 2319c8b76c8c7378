import { useState } from 'preact/hooks';
import type { Subject, SubjectRef, WholeDelivery } from '../../package/client/types.ts';
import { api, useReading } from '../api.ts';
import { useViewer } from '../caller.tsx';
import { NoPermission } from '../parts/lists.tsx';
import { FailureNotice } from '../parts/failure.tsx';
import { Facts } from '../parts/rows.tsx';
import { Badge, Loading, Page } from '../parts/states.tsx';
import { Blocks, OrderedCard } from './people/blocks.tsx';
import { Lately } from './people/lately.tsx';
import { OffboardDialog } from './people/offboard.tsx';
import { ReinstateDialog } from './people/reinstate.tsx';
import { TheirTokens } from './people/tokens.tsx';
import { isNamed, mayOffboard, reinstatedWords, searchFor, subjectOf, tokenCounts } from './people/words.ts';

/** Somebody who owns tokens, acted, or is blocked; or a label. */
export function PersonView({ name }: { readonly name: string }) {
  return useViewer().may('audit:read') ? (
    <Person name={name} />
  ) : (
    <NoPermission title="People" permission="audit:read" />
  );
}

/** Others whose names begin in the same way come first, and there are seldom many. */
const LOOKED_THROUGH = 500;

/** Looks for somebody among owners and those who are blocked; null: they are neither. */
async function findSubject(who: SubjectRef, signal: AbortSignal): Promise<Subject | null> {
  let seen = 0;
  for await (const one of api.subjects.each({ q: searchFor(who), limit: 100 }, { signal })) {
    if (isNamed(one, who)) return one;
    seen += 1;
    if (seen >= LOOKED_THROUGH) return null;
  }
  return null;
}

function Person({ name }: { readonly name: string }) {
  const viewer = useViewer();
  const who = subjectOf(name);
  const { data, failure, isLoading, reload } = useReading(`person ${name}`, async (signal) => ({
    entry: await findSubject(who, signal),
  }));
  const [dialog, setDialog] = useState<'offboard' | 'reinstate' | null>(null);
  const [ordered, setOrdered] = useState<string | null>(null);
  const [lifted, setLifted] = useState<WholeDelivery | null>(null);
  const [blockedAs, setBlockedAs] = useState<readonly SubjectRef[]>([]);
  const person = data?.entry ?? noOwner(who);
  const shown = person.label ?? person.subject ?? name;
  const isMe = viewer.isMe(person);
  const isOffered = mayOffboard(viewer.whoami.roles) && data !== null;
  const isBlocked = person.blocks.length > 0;
  const close = (): void => setDialog(null);
  const [turn, setTurn] = useState(0);
  const progress = (): void => {
    setTurn((before) => before + 1);
    reload();
  };
  return (
    <Page
      title={shown}
      heading={
        <>
          {shown} {isBlocked && <Badge tone="danger">Blocked</Badge>}
        </>
      }
      actions={
        isOffered ? (
          <>
            {isBlocked && (
              <button type="button" disabled={blockedAs.length === 0} onClick={() => setDialog('reinstate')}>
                Reinstate…
              </button>
            )}
            {!isMe && (
              <button type="button" class="danger" onClick={() => setDialog('offboard')}>
                Offboard…
              </button>
            )}
          </>
        ) : undefined
      }
    >
      {failure !== null && <FailureNotice failure={failure} onRetry={reload} />}
      {data === null && isLoading && <Loading />}
      {lifted !== null && (
        <p class="card" role="status">
          {reinstatedWords(lifted)}
        </p>
      )}
      {data !== null && (
        <>
          {ordered !== null && !person.blocks.some((block) => block.delivery_id === ordered) && (
            <OrderedCard id={ordered} onProgress={progress} />
          )}
          <Blocks person={person} onKnown={setBlockedAs} onProgress={progress} />
          <About person={person} isMe={isMe} isOwner={data.entry !== null} />
          <TheirTokens who={who} turn={turn} />
          <Lately name={name} />
        </>
      )}
      {dialog === 'offboard' && (
        <OffboardDialog
          person={person}
          onClose={close}
          onOrdered={(receipt) => {
            close();
            setLifted(null);
            setOrdered(receipt.id);
            progress();
          }}
        />
      )}
      {dialog === 'reinstate' && (
        <ReinstateDialog
          name={shown}
          blockedAs={blockedAs}
          onClose={close}
          onDone={(receipt) => {
            close();
            setOrdered(null);
            setLifted(receipt);
            reload();
          }}
        />
      )}
    </Page>
  );
}

/** Somebody who owns nothing and is not blocked. */
const noOwner = (who: SubjectRef): Subject => ({
  ...('label' in who ? { issuer: null, subject: null, label: who.label } : { ...who, label: null }),
  tokens: { live: 0, total: 0 },
  blocks: [],
});

function About(props: { readonly person: Subject; readonly isMe: boolean; readonly isOwner: boolean }) {
  const { issuer, subject, label, tokens } = props.person;
  return (
    <section class="card" aria-label="Facts">
      <Facts
        facts={[
          label !== null && ['Label', label],
          issuer !== null && ['Subject', subject],
          issuer !== null && ['Issuer', issuer],
          issuer !== null && ['Tokens', tokenCounts(tokens)],
        ]}
      />
      {issuer === null && (
        <p class="under">A label is what JWTs carry for people to read. Several people can carry one.</p>
      )}
      {!props.isOwner && <p class="under">Nobody of this name owns a token or is blocked.</p>}
      {props.isMe && <p class="under">This is you. Another administrator would have to offboard you.</p>}
    </section>
  );
}
