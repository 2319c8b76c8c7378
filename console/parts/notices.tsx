import { useEffect, useState } from 'preact/hooks';

/** How long a notice stays. Whoever reads slowly finds the same in Activity. */
const NOTICE_MS = 8_000;

const listeners = new Set<(text: string) => void>();

/** Tells the viewer, by eye and by ear, what was done. */
export function notice(text: string): void {
  for (const listener of listeners) listener(text);
}

/** Shows the last notice. */
export function Notices() {
  const [shown, setShown] = useState<{ readonly text: string; readonly turn: number } | null>(null);
  useEffect(() => {
    const listener = (text: string): void => setShown((before) => ({ text, turn: (before?.turn ?? 0) + 1 }));
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }, []);
  useEffect(() => {
    if (shown === null) return;
    const timer = setTimeout(() => setShown(null), NOTICE_MS);
    return () => clearTimeout(timer);
  }, [shown]);
  return (
    <div class="notices" role="status" aria-live="polite">
      {shown !== null && <p key={shown.turn}>{shown.text}</p>}
    </div>
  );
}
