import { useState } from 'preact/hooks';
import type { Mode, Subject, SubjectRef, WholeDelivery } from '../../../package/client/types.ts';
import { api, useAction } from '../../api.ts';
import { Dialog } from '../../parts/dialog.tsx';
import { ActionForm } from '../../parts/action-form.tsx';
import { ReasonField, TextField } from '../../parts/fields.tsx';
import { isTyped, isTypingAsked, offboardWords } from './words.ts';

interface OffboardProps {
  /** Null: whom it is about is typed. */
  readonly person: Pick<Subject, 'issuer' | 'subject' | 'label' | 'tokens'> | null;
  readonly onClose: () => void;
  readonly onOrdered: (receipt: WholeDelivery) => void;
}

/**
 * Offboards somebody, by one order with one key: a second click, or a try after a lost answer, orders nothing a second time. What
 * became of it is in the receipt.
 */
export function OffboardDialog({ person, onClose, onOrdered }: OffboardProps) {
  const [key] = useState(() => crypto.randomUUID());
  const [isByLabel, setByLabel] = useState(person === null || person.subject === null);
  const [typedLabel, setTypedLabel] = useState('');
  const [mode, setMode] = useState<Mode>('revoke');
  const [reason, setReason] = useState('');
  const [typed, setTyped] = useState('');
  const label = person === null ? typedLabel.trim() : person.label;
  // Whom a label means is decided by the service, so nobody can tell here how many tokens that concerns.
  const live = isByLabel ? null : (person?.tokens.live ?? 0);
  const name = isByLabel ? (label ?? '') : (person?.label ?? person?.subject ?? '');
  const subject = subjectOfChoice(person, isByLabel, label);
  const order = useAction(async () => {
    if (subject === null) return;
    onOrdered(await api.revocations.create({ subject, mode, reason: reason.trim() }, { idempotencyKey: key }));
  });
  const isReady = subject !== null && reason.trim() !== '' && (!isTypingAsked(live) || isTyped(typed, live, name));
  return (
    <Dialog
      title={name === '' ? 'Offboard somebody' : `Offboard ${name}`}
      onClose={onClose}
      isDismissible={!order.isRunning}
    >
      <ActionForm
        action={order}
        submit={`Offboard ${name === '' ? 'somebody' : name}`}
        isDanger
        isReady={isReady}
        shown={['reason']}
        onCancel={onClose}
      >
        {person === null && (
          <TextField
            label="Label"
            value={typedLabel}
            onInput={setTypedLabel}
            hint="What their JWTs carry, such as an e-mail address. It needs no token to be known here."
          />
        )}
        {person !== null && person.subject !== null && person.label !== null && (
          <WhomField person={person} isByLabel={isByLabel} onChange={setByLabel} />
        )}
        <ModeField mode={mode} onChange={setMode} />
        <ul class="consequences">
          {offboardWords(live, mode).map((words) => (
            <li key={words}>{words}</li>
          ))}
        </ul>
        <ReasonField value={reason} onInput={setReason} failure={order.failure} />
        {name !== '' && isTypingAsked(live) && (
          <TextField
            label={
              <>
                Type{' '}
                {live !== null && (
                  <>
                    <code>{live}</code>, the number of their live tokens, or{' '}
                  </>
                )}
                <code>{name}</code>
              </>
            }
            value={typed}
            onInput={setTyped}
          />
        )}
      </ActionForm>
    </Dialog>
  );
}

function subjectOfChoice(person: OffboardProps['person'], isByLabel: boolean, label: string | null): SubjectRef | null {
  if (isByLabel) return label === null || label === '' ? null : { label };
  return person === null || person.issuer === null || person.subject === null
    ? null
    : { issuer: person.issuer, subject: person.subject };
}

function WhomField(props: {
  readonly person: Pick<Subject, 'issuer' | 'subject' | 'label'>;
  readonly isByLabel: boolean;
  readonly onChange: (isByLabel: boolean) => void;
}) {
  const { person, isByLabel, onChange } = props;
  return (
    <fieldset>
      <legend>Whom</legend>
      <label class="choice">
        <input type="radio" name="whom" checked={!isByLabel} onChange={() => onChange(false)} />
        <span>
          Only <b>{person.subject}</b> of {person.issuer}
        </span>
      </label>
      <label class="choice">
        <input type="radio" name="whom" checked={isByLabel} onChange={() => onChange(true)} />
        <span>
          Everybody who carries <b>{person.label}</b>, at any issuer
        </span>
      </label>
    </fieldset>
  );
}

const MODES = [
  { mode: 'revoke', title: 'Revoke their tokens', hint: 'for a leaver, or where a secret may be known' },
  { mode: 'suspend', title: 'Suspend their tokens', hint: 'while you find out' },
] as const;

const ModeField = ({ mode, onChange }: { readonly mode: Mode; readonly onChange: (mode: Mode) => void }) => (
  <fieldset>
    <legend>What becomes of their tokens</legend>
    {MODES.map((choice) => (
      <label key={choice.mode} class="choice">
        <input type="radio" name="mode" checked={mode === choice.mode} onChange={() => onChange(choice.mode)} />
        <span>
          {choice.title} <span class="quiet">{choice.hint}</span>
        </span>
      </label>
    ))}
  </fieldset>
);
