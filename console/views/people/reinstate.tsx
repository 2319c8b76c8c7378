import { useState } from 'preact/hooks';
import type { SubjectRef, WholeDelivery } from '../../../package/client/types.ts';
import { api, useAction } from '../../api.ts';
import { Dialog } from '../../parts/dialog.tsx';
import { ActionForm } from '../../parts/action-form.tsx';
import { ReasonField } from '../../parts/fields.tsx';
import { subjectWords } from '../webhooks/words.ts';

interface ReinstateProps {
  readonly name: string;
  /** How they are blocked. A reinstatement lifts what it names. */
  readonly blockedAs: readonly SubjectRef[];
  readonly onClose: () => void;
  readonly onDone: (receipt: WholeDelivery) => void;
}

/** Lifts a block. */
export function ReinstateDialog({ name, blockedAs, onClose, onDone }: ReinstateProps) {
  const [key] = useState(() => crypto.randomUUID());
  const [chosen, setChosen] = useState(0);
  const [reason, setReason] = useState('');
  const subject = blockedAs[chosen];
  const reinstate = useAction(async () => {
    if (subject === undefined) return;
    onDone(await api.reinstatements.create({ subject, reason: reason.trim() }, { idempotencyKey: `${key}-${chosen}` }));
  });
  const isReady = subject !== undefined && reason.trim() !== '';
  return (
    <Dialog title={`Reinstate ${name}`} onClose={onClose} isDismissible={!reinstate.isRunning}>
      <ActionForm
        action={reinstate}
        submit={`Reinstate ${name}`}
        isReady={isReady}
        shown={['reason']}
        onCancel={onClose}
      >
        {blockedAs.length > 1 && (
          <fieldset>
            <legend>Which block</legend>
            {blockedAs.map((way, index) => (
              <label key={subjectWords(way)} class="choice">
                <input type="radio" name="block" checked={index === chosen} onChange={() => setChosen(index)} />
                <span>
                  {'label' in way ? `The one on everybody who carries ${way.label}` : `The one on ${way.subject} alone`}
                </span>
              </label>
            ))}
          </fieldset>
        )}
        <ul class="consequences">
          <li>
            {subject !== undefined && 'label' in subject
              ? `Everybody who was blocked as ${subject.label} may call again.`
              : 'They may call again.'}
          </li>
          <li>Revoked tokens stay revoked. A suspended one is resumed on its own page.</li>
        </ul>
        <ReasonField value={reason} onInput={setReason} failure={reinstate.failure} />
      </ActionForm>
    </Dialog>
  );
}
