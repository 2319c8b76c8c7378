import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';

interface DialogProps {
  readonly title: string;
  readonly onClose: () => void;
  /** Whether Escape and a click beside it close it. Not where something would be lost that is shown once. Default: yes. */
  readonly isDismissible?: boolean;
  readonly children: ComponentChildren;
}

/** A native modal dialog: the browser keeps the focus in it, and gives it back to what opened it. */
export function Dialog({ title, onClose, isDismissible = true, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const titleId = useId();
  useEffect(() => {
    const opener = document.activeElement;
    dialog.current?.showModal();
    return () => {
      if (opener instanceof HTMLElement && opener.isConnected) opener.focus();
    };
  }, []);
  const latest = useRef(onClose);
  latest.current = isDismissible ? onClose : () => dialog.current?.open === false && dialog.current.showModal();
  useEffect(() => {
    // Chromium closes a dialog at the second Escape without asking, wherever the focus is by then: behind a form that has just been
    // replaced by its result it is on the page.
    const escape = (event: KeyboardEvent): void => {
      if (event.key !== 'Escape') return;
      event.preventDefault();
      latest.current();
    };
    document.addEventListener('keydown', escape, true);
    return () => document.removeEventListener('keydown', escape, true);
  }, []);
  return (
    <dialog
      ref={dialog}
      aria-labelledby={titleId}
      onCancel={(event) => {
        event.preventDefault();
        latest.current();
      }}
      // Whatever else closes it: it is opened again where it may not be dismissed.
      onClose={() => latest.current()}
      onClick={(event) => {
        if (event.target === dialog.current) latest.current();
      }}
    >
      <div class="dialog">
        <h2 id={titleId}>{title}</h2>
        {children}
      </div>
    </dialog>
  );
}
