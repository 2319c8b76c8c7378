import { useState } from 'preact/hooks';
import { notice } from './notices.tsx';

/** A button that copies a text. */
export function CopyButton({
  text,
  label = 'Copy',
  class: name = 'plain small',
}: {
  readonly text: string;
  readonly label?: string;
  readonly class?: string;
}) {
  const [isCopied, setCopied] = useState(false);
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
      setTimeout(() => setCopied(false), 2_000);
    } catch {
      notice('The browser does not let this page copy. Select the text and copy it by hand.');
    }
  };
  return (
    <button type="button" class={name} onClick={() => void copy()}>
      {isCopied ? 'Copied' : label}
    </button>
  );
}

/** An id, short where there is little room. The whole one is shown on hover and copied. */
export const Id = ({ value, isShort = true }: { readonly value: string; readonly isShort?: boolean }) => (
  <span class="id" title={value}>
    <code>{isShort && value.length > 12 ? `${value.slice(0, 8)}…` : value}</code>
    <CopyButton text={value} />
  </span>
);
