import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { holdsSecret } from '../../parts/secrets.ts';
import { type FilterName, parseQuestion, type Term } from './question.ts';
import { suggestionsAt, take } from './suggestions.ts';

interface QuestionInputProps {
  /** What the address asks for. What is typed follows it. */
  readonly typed: string;
  readonly problems: readonly string[];
  readonly known: Readonly<Partial<Record<FilterName, readonly string[]>>>;
  readonly onAsk: (terms: readonly Term[]) => void;
}

/** The line in which a question is typed, with suggestions for the word at the caret. */
export function QuestionInput({ typed: asked, problems: askedProblems, known, onAsk }: QuestionInputProps) {
  const input = useRef<HTMLInputElement>(null);
  const [typed, setTyped] = useState(asked);
  const [caret, setCaret] = useState(asked.length);
  const [isOpen, setOpen] = useState(false);
  const [active, setActive] = useState<number | null>(null);
  const [problems, setProblems] = useState<readonly string[]>(askedProblems);
  const listId = useId();
  const helpId = useId();
  useEffect(() => {
    setTyped(asked);
    setProblems(askedProblems);
  }, [asked]);

  useEffect(() => {
    if (active !== null) document.getElementById(`${listId}-${active}`)?.scrollIntoView({ block: 'nearest' });
  }, [active]);

  const suggested = suggestionsAt(typed, caret, known);
  const { suggestions } = suggested;
  const isShown = isOpen && suggestions.length > 0;
  const follow = (): void => setCaret(input.current?.selectionStart ?? typed.length);
  const ask = (): void => {
    const question = parseQuestion(typed);
    setProblems(question.problems);
    setOpen(false);
    if (question.problems.length === 0) onAsk(question.terms);
  };
  const accept = (index: number): void => {
    const suggestion = suggestions[index];
    if (suggestion === undefined) return;
    const after = take(typed, suggested, suggestion.text);
    setTyped(after.typed);
    setCaret(after.caret);
    setActive(null);
    setOpen(true);
    requestAnimationFrame(() => {
      input.current?.focus();
      input.current?.setSelectionRange(after.caret, after.caret);
    });
  };
  const move = (step: number): void => {
    setOpen(true);
    const count = suggestions.length;
    if (count > 0)
      setActive((before) => (before === null ? (step > 0 ? 0 : count - 1) : (before + step + count) % count));
  };
  const onKey = (event: KeyboardEvent): void => {
    const { key, shiftKey } = event;
    const isTaking = isShown && active !== null && (key === 'Enter' || (key === 'Tab' && !shiftKey));
    if (isTaking) accept(active);
    else if (key === 'ArrowDown') move(1);
    else if (key === 'ArrowUp') move(-1);
    else if (key === 'Escape' && isShown) setOpen(false);
    else return;
    event.preventDefault();
  };
  return (
    <form
      role="search"
      class="question"
      onSubmit={(event) => {
        event.preventDefault();
        ask();
      }}
    >
      <div class="line">
        <input
          ref={input}
          type="text"
          role="combobox"
          aria-label="Filter the events"
          aria-expanded={isShown}
          aria-controls={listId}
          aria-autocomplete="list"
          aria-activedescendant={isShown && active !== null ? `${listId}-${active}` : undefined}
          aria-invalid={problems.length > 0}
          aria-describedby={problems.length > 0 ? helpId : undefined}
          placeholder="action:service_account_token.create status:failure actor:me from:7d"
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
          value={typed}
          onInput={({ currentTarget: field }) => {
            // A secret that is pasted here stays neither in the page nor in its address.
            if (holdsSecret(field.value)) {
              setProblems(parseQuestion(field.value).problems);
              field.value = '';
            }
            setTyped(field.value);
            setOpen(true);
            setActive(null);
            follow();
          }}
          onKeyDown={onKey}
          onKeyUp={follow}
          onClick={() => {
            setOpen(true);
            follow();
          }}
          onBlur={() => setOpen(false)}
        />
        <button type="submit">Filter</button>
      </div>
      <ul id={listId} role="listbox" aria-label="Suggestions" class="suggestions" hidden={!isShown}>
        {isShown &&
          suggestions.map(({ text, hint }, index) => (
            <li
              key={text}
              id={`${listId}-${index}`}
              role="option"
              aria-selected={index === active}
              // The focus stays in the line.
              onPointerDown={(event) => {
                event.preventDefault();
                accept(index);
              }}
            >
              <code>{text}</code>
              {hint !== '' && <span class="quiet">{hint}</span>}
            </li>
          ))}
      </ul>
      {problems.length > 0 && (
        <p id={helpId} class="problem" role="alert">
          {problems.join(' ')}
        </p>
      )}
    </form>
  );
}
