import { useState } from 'preact/hooks';
import type { InventoryToken, RotatedToken } from '../../../package/client/types.ts';
import { api, useAction } from '../../api.ts';
import { useViewer } from '../../caller.tsx';
import { Dialog } from '../../parts/dialog.tsx';
import { notice } from '../../parts/notices.tsx';
import { Time } from '../../parts/time.tsx';
import { ActionForm } from './action-form.tsx';
import { lifetimeChoices, overlapChoices, usualOverlap } from './durations.ts';
import { ChoiceField, problemsOf } from './fields.tsx';
import { type ChosenExpiry, ExpiryField, expiryOf } from './mint-fields.tsx';
import { Minted } from './minted.tsx';
import { longestOverlap, longestTtl, rolesFor } from './rights.ts';
import { nameOf } from './words.ts';

interface RotateProps {
  readonly token: InventoryToken;
  readonly onClose: () => void;
  readonly onChanged: () => void;
}

/** Mints a token that takes the place of one of the viewer's own. */
export function RotateDialog({ token, onClose, onChanged }: RotateProps) {
  const viewer = useViewer();
  const name = nameOf(token);
  const roles = rolesFor(viewer, 'tokens:rotate', token);
  const maxOverlap = longestOverlap(roles);
  const maxSeconds = longestTtl(roles);
  const [idempotencyKey] = useState(() => crypto.randomUUID());
  const [overlap, setOverlap] = useState(usualOverlap(maxOverlap));
  const [expiry, setExpiry] = useState<ChosenExpiry>({ choice: '', day: '' });
  const [minted, setMinted] = useState<RotatedToken | null>(null);
  const rotating = useAction(async () => {
    const rotation = { workspace_uuid: token.workspace_uuid, overlap, ...expiryOf(expiry) };
    try {
      setMinted(await api.tokens.rotate(token.id, rotation, { idempotencyKey }));
    } finally {
      onChanged();
    }
  });
  const { failure } = rotating;
  if (minted !== null) {
    const stored = (): void => {
      notice(`${name} is rotated.`);
      onClose();
    };
    return (
      <Dialog title="Store the new secret now" onClose={onClose} isDismissible={false}>
        <p>
          The old token is to be revoked <Time at={minted.old_token_revoked_at} />.
        </p>
        <Minted secret={minted.token} name={minted.name} onStored={stored} />
      </Dialog>
    );
  }
  const isLeaked = overlap === '0s';
  const same = { value: '', title: 'As long as this one was minted for' };
  return (
    <Dialog title={`Rotate ${name}`} onClose={onClose}>
      <ActionForm
        action={rotating}
        submit={isLeaked ? `Rotate ${name} and revoke the old one` : `Rotate ${name}`}
        isDanger={isLeaked}
        shown={['overlap', 'expires_in', 'expires_at']}
        onCancel={onClose}
      >
        <p>
          A new token with the same name and scopes takes its place. Both work while they overlap; then this one is
          revoked.
        </p>
        <ChoiceField
          label="Overlap"
          value={overlap}
          choices={overlapChoices(maxOverlap)}
          onChoose={setOverlap}
          problems={problemsOf(failure, 'overlap')}
          hint={isLeaked ? 'What uses the old secret fails until it has the new one.' : undefined}
        />
        <ExpiryField
          value={expiry}
          choices={[same, ...lifetimeChoices(maxSeconds).filter(({ value }) => value !== '')]}
          onChange={setExpiry}
          problems={problemsOf(failure, 'expires_in', 'expires_at')}
          maxSeconds={maxSeconds}
        />
      </ActionForm>
    </Dialog>
  );
}
