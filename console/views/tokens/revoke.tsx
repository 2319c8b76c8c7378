import type { InventoryToken } from '../../../package/client/types.ts';
import { api, useAction } from '../../api.ts';
import { Dialog } from '../../parts/dialog.tsx';
import { notice } from '../../parts/notices.tsx';
import { Facts } from '../../parts/rows.tsx';
import { ActionForm } from '../../parts/action-form.tsx';
import { mainFacts } from './shown.tsx';
import { nameOf } from './words.ts';

interface DialogProps {
  readonly token: InventoryToken;
  readonly onClose: () => void;
  /** Something may have changed, whether it succeeded or not. */
  readonly onChanged: () => void;
}

/** The one question before a token is revoked: whose it is, and whether anything uses it. */
export function RevokeDialog({ token, onClose, onChanged }: DialogProps) {
  const name = nameOf(token);
  const revoking = useAction(async () => {
    try {
      await api.tokens.revoke(token.id, { workspace_uuid: token.workspace_uuid });
      notice(`${name} is revoked.`);
    } finally {
      onChanged();
    }
  });
  // These say that the service goes on by itself. Asking again would add nothing.
  const isUnderWay = ['revocation_pending', 'outcome_unknown'].includes(revoking.failure?.code ?? '');
  return (
    <Dialog title={`Revoke ${name}?`} onClose={onClose}>
      <ActionForm
        action={revoking}
        submit={isUnderWay ? null : `Revoke ${name}`}
        cancel={isUnderWay ? 'Close' : 'Keep it'}
        isDanger
        isAsked
        onCancel={onClose}
        onDone={onClose}
      >
        <Facts facts={mainFacts(token)} />
        <p class="hint">Whatever uses it fails from then on. This cannot be undone.</p>
      </ActionForm>
    </Dialog>
  );
}

/** Suspends a token, or resumes it. */
export function SuspendDialog({ token, onClose, onChanged, isResume }: DialogProps & { readonly isResume: boolean }) {
  const name = nameOf(token);
  const changing = useAction(async () => {
    try {
      const after = await api.tokens.update(token.id, { workspace_uuid: token.workspace_uuid, is_active: isResume });
      notice(
        `${name} is ${isResume ? (after.is_active ? 'resumed' : 'still suspended, for another reason') : 'suspended'}.`,
      );
    } finally {
      onChanged();
    }
  });
  const title = isResume ? `Resume ${name}` : `Suspend ${name}`;
  return (
    <Dialog title={`${title}?`} onClose={onClose}>
      <ActionForm action={changing} submit={title} cancel="Leave it" isAsked onCancel={onClose} onDone={onClose}>
        <p>
          {isResume
            ? 'It can be used again with its old secret, unless a reason is left that you may not lift.'
            : 'PipeOps refuses it until it is resumed. Its secret stays the same.'}
        </p>
      </ActionForm>
    </Dialog>
  );
}
