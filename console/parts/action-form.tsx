import type { ComponentChildren } from 'preact';
import type { Action } from '../api.ts';
import { RestOfFailure } from './fields.tsx';

interface ActionFormProps {
  readonly action: Action<[]>;
  /** What the button says that does it. Null: it cannot be done, or not again. */
  readonly submit: string | null;
  readonly cancel?: string;
  readonly isDanger?: boolean;
  readonly isReady?: boolean;
  /** Whether Enter does it at once: there is no field to fill in. */
  readonly isAsked?: boolean;
  /** The names of the fields that tell their own problems. */
  readonly shown?: readonly string[];
  readonly onCancel: () => void;
  readonly onDone?: () => void;
  readonly children: ComponentChildren;
}

/** A form of a dialog: its fields, why the last try failed, and its two buttons. */
export function ActionForm({
  action,
  submit,
  cancel = 'Cancel',
  isDanger = false,
  isReady = true,
  ...rest
}: ActionFormProps) {
  const { isAsked = false, shown = [], onCancel, onDone, children } = rest;
  const run = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (await action.run()) onDone?.();
  };
  return (
    <form onSubmit={(event) => void run(event)}>
      {children}
      <RestOfFailure failure={action.failure} shown={shown} />
      <div class="actions">
        <button type="button" onClick={onCancel}>
          {cancel}
        </button>
        {submit !== null && (
          <button
            type="submit"
            class={isDanger ? 'danger primary' : 'primary'}
            autofocus={isAsked}
            disabled={action.isRunning || !isReady}
          >
            {action.isRunning ? 'One moment…' : submit}
          </button>
        )}
      </div>
    </form>
  );
}
