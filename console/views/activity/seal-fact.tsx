import type { AuditEvent } from '../../../package/client/types.ts';
import { failureFrom } from '../../api.ts';
import { useFollowing } from '../../parts/following.ts';
import { save } from '../../parts/save.ts';
import { checkSeal } from './seal.ts';

/** The cron seals by the minute. */
const WAITING_POLL_MS = 30_000;

/** Whether an event is sealed, which is checked here, and its receipt. */
export function SealFact({ event }: { readonly event: AuditEvent }) {
  const { data } = useFollowing(
    // An attempt has another receipt once it is settled.
    `seal ${event.id} ${event.status}`,
    async ({ audit }, signal) => {
      try {
        const receipt = await audit.receipt(event.id, {}, { signal });
        const { logs } = await audit.logs({ signal });
        const keyOf = (origin: string) => logs.find((log) => log.origin === origin)?.verifier_key;
        // A row that counts reads may have grown since the page was opened.
        return { receipt, seal: await checkSeal(receipt, await audit.event(event.id, { signal }), keyOf) };
      } catch (error) {
        const { code } = failureFrom(error);
        if (code === 'not_sealed') return { receipt: '', seal: 'waiting' as const };
        if (code === 'sealing_not_configured') return { receipt: '', seal: 'none' as const };
        throw error;
      }
    },
    ({ seal }) => (seal === 'waiting' ? WAITING_POLL_MS : null),
  );
  if (data === null) return null;
  const { receipt, seal } = data;
  if (seal === 'none') return <>This service seals nothing.</>;
  if (seal === 'waiting') return <>Not sealed yet. That takes some two minutes.</>;
  const isWrong = seal === 'wrong';
  return (
    <>
      {isWrong ? (
        <strong class="problem">The receipt does not prove what is shown here.</strong>
      ) : (
        `Sealed as entry ${seal.index} of ${seal.size} in ${seal.origin}, checked in this browser${seal.isSignatureChecked ? '' : ' but for the signature'}.`
      )}{' '}
      {!isWrong && !seal.isAuthentic && <strong class="problem">This service has not written it.</strong>}{' '}
      <button
        type="button"
        class="plain"
        onClick={() => save(new Blob([receipt], { type: 'text/plain' }), `${event.id}.tlog-proof`)}
      >
        Save the receipt
      </button>
    </>
  );
}
