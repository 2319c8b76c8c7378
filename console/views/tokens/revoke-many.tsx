import { useMemo, useState } from 'preact/hooks';
import type { InventoryToken } from '../../../package/client/types.ts';
import { api, useAction } from '../../api.ts';
import { Link, navigate } from '../../location.tsx';
import { Dialog } from '../../parts/dialog.tsx';
import { count } from '../../parts/figures.ts';
import { paths } from '../../routes.ts';
import { ActionForm } from '../../parts/action-form.tsx';
import { ReasonField, TextField } from '../../parts/fields.tsx';
import { byWorkspace } from './selection.ts';
import { ownerName } from './words.ts';

interface RevokeManyProps {
  readonly tokens: readonly InventoryToken[];
  readonly onClose: () => void;
  readonly onOrdered: () => void;
}

/** Orders the revocation of a set of tokens: one order for each workspace, whose receipt is followed on a page of its own. */
export function RevokeManyDialog({ tokens, onClose, onOrdered }: RevokeManyProps) {
  const groups = useMemo(() => byWorkspace(tokens), [tokens]);
  // A second try of the same order takes effect once.
  const [keys] = useState(() => new Map(groups.map(({ workspaceUuid }) => [workspaceUuid, crypto.randomUUID()])));
  const [reason, setReason] = useState('');
  const [typed, setTyped] = useState('');
  const [receipts, setReceipts] = useState<readonly string[]>([]);
  const owners = [...new Set(tokens.map(ownerName))];
  const ordering = useAction(async () => {
    const made: string[] = [];
    for (const { workspaceUuid, ids } of groups) {
      const order = { workspace_uuid: workspaceUuid, token_ids: ids, reason };
      const { id } = await api.revocations.create(order, { idempotencyKey: keys.get(workspaceUuid) ?? null });
      made.push(id);
      setReceipts([...made]);
    }
    onOrdered();
    const [only] = made;
    if (made.length === 1 && only !== undefined) navigate(paths.revocation(only));
  });
  const isDone = receipts.length === groups.length;
  const what = count(tokens.length, 'token');
  return (
    <Dialog title={`Revoke ${what}`} onClose={onClose}>
      <ActionForm
        action={ordering}
        submit={isDone ? null : `Revoke ${what}`}
        cancel={isDone ? 'Close' : 'Keep them'}
        isDanger
        isReady={typed.trim() === String(tokens.length) && reason.trim() !== ''}
        shown={['reason']}
        onCancel={onClose}
      >
        <p>
          They belong to {owners.slice(0, 3).join(', ')}
          {owners.length > 3 && ` and ${owners.length - 3} more`}
          {groups.length > 1 && `, in ${groups.length} workspaces: each gets an order of its own`}. Whatever uses them
          fails from then on. This cannot be undone.
        </p>
        <ul class="consequences">
          {tokens.slice(0, 5).map((token) => (
            <li key={`${token.workspace_uuid}/${token.id}`}>{token.name ?? token.id}</li>
          ))}
          {tokens.length > 5 && <li class="quiet">and {(tokens.length - 5).toLocaleString('en')} more</li>}
        </ul>
        <ReasonField value={reason} onInput={setReason} failure={ordering.failure} />
        <TextField label={`Type ${tokens.length} to revoke ${what}`} value={typed} onInput={setTyped} isRequired />
        {receipts.length > 0 && groups.length > 1 && (
          <ul class="consequences">
            {receipts.map((id, index) => (
              <li key={id}>
                <Link to={paths.revocation(id)}>Receipt {index + 1}</Link>
              </li>
            ))}
          </ul>
        )}
      </ActionForm>
    </Dialog>
  );
}
