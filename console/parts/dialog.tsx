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
  const close = (event: Event): void => {
    event.preventDefault();
    if (isDismissible) onClose();
  };
  return (
    <dialog
      ref={dialog}
      aria-labelledby={titleId}
      onCancel={close}
      onKeyDown={(event) => {
        // Chromium closes a dialog at the second Escape without asking.
        if (event.key === 'Escape') close(event);
      }}
      onClick={(event) => {
        if (isDismissible && event.target === dialog.current) onClose();
      }}
    >
      <div class="dialog">
        <h2 id={titleId}>{title}</h2>
        {children}
      </div>
    </dialog>
  );
}
