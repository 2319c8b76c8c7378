import { useState } from 'preact/hooks';
import type { InventoryToken, RotatedToken } from '../../../package/client/types.ts';
import { api, useAction } from '../../api.ts';
import { useViewer } from '../../caller.tsx';
import { Dialog } from '../../parts/dialog.tsx';
import { notice } from '../../parts/notices.tsx';
import { Time } from '../../parts/time.tsx';
import { ActionForm } from '../../parts/action-form.tsx';
import { lifetimeChoices, lifetimeOf, overlapChoices, usualOverlap } from './durations.ts';
import { ChoiceField, problemsOf } from '../../parts/fields.tsx';
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
  const [idempotencyKey] = useState(() => crypto.randomUUID());
  const [overlap, setOverlap] = useState(usualOverlap(maxOverlap));
  const [lifetime, setLifetime] = useState('');
  const [minted, setMinted] = useState<RotatedToken | null>(null);
  const rotating = useAction(async () => {
    const rotation = { workspace_uuid: token.workspace_uuid, overlap, ...lifetimeOf(lifetime) };
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
        shown={['overlap', 'expires_in']}
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
        <ChoiceField
          label="Expires after"
          value={lifetime}
          choices={[same, ...lifetimeChoices(longestTtl(roles)).filter(({ value }) => value !== '')]}
          onChoose={setLifetime}
          problems={problemsOf(failure, 'expires_in')}
        />
      </ActionForm>
    </Dialog>
  );
}
