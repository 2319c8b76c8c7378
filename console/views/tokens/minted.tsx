import { useEffect, useRef, useState } from 'preact/hooks';
import { CopyButton } from '../../parts/copy.tsx';

interface MintedProps {
  readonly secret: string;
  readonly name: string;
  readonly onStored: () => void;
}

/**
 * A secret that was just minted, shown this once. It is in this component's state and in the page alone, and is gone with the dialog,
 * which neither Escape nor a click beside it closes.
 */
export function Minted({ secret, name, onStored }: MintedProps) {
  const [isStored, setStored] = useState(false);
  const box = useRef<HTMLFormElement>(null);
  useGuard();
  // The form that stood here had the focus, and took it along.
  useEffect(() => box.current?.querySelector('button')?.focus(), []);
  return (
    <form
      ref={box}
      onSubmit={(event) => {
        event.preventDefault();
        if (isStored) onStored();
      }}
    >
      <p>
        This is the secret of <strong>{name}</strong>. It is shown <strong>this once</strong>: nobody can show it again.
      </p>
      <code class="secret" tabIndex={0} aria-label={`The secret of ${name}`}>
        {secret}
      </code>
      <p>
        <CopyButton text={secret} label="Copy the secret" class="primary" />
      </p>
      <label class="tick">
        <input type="checkbox" checked={isStored} onChange={({ currentTarget }) => setStored(currentTarget.checked)} />{' '}
        I have stored it where it belongs
      </label>
      <div class="actions">
        <button type="submit" disabled={!isStored}>
          Close
        </button>
      </div>
    </form>
  );
}

/** While a secret is shown, leaving the page asks first, and the button Back of the browser stays here. */
function useGuard(): void {
  useEffect(() => {
    const ask = (event: Event): void => event.preventDefault();
    const stay = (): void => history.pushState(null, '', location.href);
    stay();
    addEventListener('beforeunload', ask);
    addEventListener('popstate', stay);
    return () => {
      removeEventListener('beforeunload', ask);
      removeEventListener('popstate', stay);
      // The entry that kept the page here is taken away.
      history.back();
    };
  }, []);
}
