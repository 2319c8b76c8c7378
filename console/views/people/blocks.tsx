import { useEffect, useRef, useState } from 'preact/hooks';
import type { Block, Subject, SubjectRef, WholeDelivery } from '../../../package/client/types.ts';
import { Link } from '../../location.tsx';
import { Stale } from '../../parts/lists.tsx';
import { Progress, useReceipt } from '../../parts/receipt.tsx';
import { Time } from '../../parts/time.tsx';
import { paths } from '../../routes.ts';
import { Sender } from '../webhooks.tsx';

interface BlocksProps {
  readonly person: Subject;
  /** Is told how they are blocked, as far as that is known. */
  readonly onKnown: (blockedAs: readonly SubjectRef[]) => void;
  /** Is told as the revocations go on. */
  readonly onProgress: () => void;
}

/** Why somebody is refused everything: since when, by what, and how far what was ordered with it is. */
export function Blocks({ person, onKnown, onProgress }: BlocksProps) {
  const [labels, setLabels] = useState<ReadonlyMap<string, string>>(new Map());
  const { issuer, subject, label, blocks } = person;
  const ways = blocks.flatMap(({ by, delivery_id: id }): SubjectRef[] => {
    if (by === 'subject') return issuer === null || subject === null ? [] : [{ issuer, subject }];
    // A receipt names the label, which may be another one than they carry now. An entry of a label is about that label.
    const blockedLabel = issuer === null ? label : labels.get(id ?? '');
    return blockedLabel === undefined || blockedLabel === null ? [] : [{ label: blockedLabel }];
  });
  const known = JSON.stringify([...new Map(ways.map((way) => [JSON.stringify(way), way])).values()]);
  useEffect(() => onKnown(JSON.parse(known)), [known]);
  if (blocks.length === 0) return null;
  return (
    <section class="card blocked" aria-labelledby="blocked">
      <h2 id="blocked">Refused everything</h2>
      {blocks.map((block) => (
        <BlockCard
          key={`${block.by} ${block.delivery_id ?? ''} ${block.since}`}
          block={block}
          label={label}
          onLabel={(id, found) => setLabels((before) => new Map(before).set(id, found))}
          onProgress={onProgress}
        />
      ))}
    </section>
  );
}

interface MadeByProps {
  readonly label: string | null;
  readonly onLabel: (id: string, label: string) => void;
  readonly onProgress: () => void;
}

function BlockCard({ block, ...props }: MadeByProps & { readonly block: Block }) {
  const { since, by, delivery_id: id, event_id: eventId, reason } = block;
  return (
    <div class="block">
      <p>
        Since <Time at={since} />, by their {by === 'label' ? 'label' : 'issuer and subject'}
        {reason !== undefined && `: ${reason}`}
        {eventId !== undefined && (
          <>
            {' · '}
            <Link to={paths.event(eventId)}>its event</Link>
          </>
        )}
      </p>
      {id !== undefined && <MadeBy id={id} {...props} />}
    </div>
  );
}

/** The delivery or the revocation that made a block, followed. */
function MadeBy({ id, onProgress, onLabel, ...props }: MadeByProps & { readonly id: string }) {
  const following = useReceipt('delivery', id);
  const { data: receipt, failure } = following;
  const told = receipt?.subject !== undefined && 'label' in receipt.subject ? receipt.subject.label : null;
  // Without the receipt the label that they carry now is the best guess. A wrong one lifts nothing, and says so.
  const label = told ?? (failure === null ? null : props.label);
  useEffect(() => {
    if (label !== null) onLabel(id, label);
  }, [label]);
  useProgress(receipt, onProgress);
  if (receipt === null) return <Stale following={following} />;
  return (
    <>
      <Stale following={following} />
      <p class="under">
        <Sender delivery={receipt} /> offboarded {label ?? 'them'}:{' '}
        <Link to={receipt.source === null ? paths.revocation(id) : paths.delivery(id)}>the receipt</Link>
      </p>
      <Progress receipt={receipt} />
    </>
  );
}

/** What was just ordered here, where no block of theirs tells of it. */
export function OrderedCard({ id, onProgress }: { readonly id: string; readonly onProgress: () => void }) {
  const following = useReceipt('revocation', id);
  const { data: receipt } = following;
  useProgress(receipt, onProgress);
  return (
    <section class="card" aria-label="What was just ordered">
      <Stale following={following} />
      <p>
        Ordered: <Link to={paths.revocation(id)}>the receipt</Link>
        {receipt?.owners?.length === 0 &&
          '. It means nobody who is known here, and whoever comes with that label is refused.'}
      </p>
      {receipt !== null && <Progress receipt={receipt} />}
    </section>
  );
}

/** Calls back where the orders of a receipt are not as they were when it was first seen. */
function useProgress(receipt: WholeDelivery | null, onProgress: () => void): void {
  const orders = receipt === null ? null : JSON.stringify(receipt.orders);
  const seen = useRef<string | null>(null);
  useEffect(() => {
    if (seen.current !== null && seen.current !== orders) onProgress();
    seen.current = orders;
  }, [orders]);
}
