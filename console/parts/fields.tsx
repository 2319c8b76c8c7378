import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';
import type { Failure } from '../../package/client/failure.ts';
import { FailureNotice } from './failure.tsx';

export interface Choice {
  /** What the API takes, such as `30d`. Empty: the parameter is left out. */
  readonly value: string;
  readonly title: string;
}

/** The problems that the service found in a field, by any of its names. */
export const problemsOf = (failure: Failure | null, ...names: readonly string[]): readonly string[] =>
  failure !== null && 'errors' in failure ? names.flatMap((name) => failure.errors[name] ?? []) : [];

/** What the fields of a dialog do not say of a failure themselves. */
export function RestOfFailure({
  failure,
  shown,
}: {
  readonly failure: Failure | null;
  readonly shown: readonly string[];
}) {
  if (failure === null) return null;
  if (!('errors' in failure)) return <FailureNotice failure={failure} />;
  const others = Object.entries(failure.errors).filter(([name]) => !shown.includes(name));
  const isSaid = others.length === 0 && Object.keys(failure.errors).length > 0;
  return isSaid ? null : <FailureNotice failure={{ ...failure, errors: Object.fromEntries(others) }} />;
}

interface FieldProps {
  readonly label: ComponentChildren;
  readonly hint?: ComponentChildren;
  readonly problems?: readonly string[];
  /** Draws the control with what ties it to its label, its hint and its problems. */
  readonly children: (attributes: {
    readonly id: string;
    readonly 'aria-describedby': string | undefined;
    readonly 'aria-invalid': boolean;
  }) => ComponentChildren;
}

/** A field with its label, a hint, and what the service says is wrong with it. */
export function Field({ label, hint, problems = [], children }: FieldProps) {
  const id = useId();
  const box = useRef<HTMLDivElement>(null);
  const isWrong = problems.length > 0;
  useEffect(() => {
    if (!isWrong || document.querySelector('dialog .field[data-wrong]') !== box.current) return;
    box.current?.querySelector<HTMLElement>('input, select, textarea')?.focus();
  }, [problems.join('\n')]);
  const described = hint !== undefined || isWrong ? `${id}-about` : undefined;
  return (
    <div class="field" ref={box} data-wrong={isWrong || undefined}>
      <label class="label" htmlFor={id}>
        {label}
      </label>
      {children({ id, 'aria-describedby': described, 'aria-invalid': isWrong })}
      {described !== undefined && (
        <div id={described}>
          {problems.map((problem) => (
            <p class="problem hint" key={problem}>
              {problem}
            </p>
          ))}
          {hint !== undefined && <p class="hint">{hint}</p>}
        </div>
      )}
    </div>
  );
}

interface TextFieldProps extends Omit<FieldProps, 'children'> {
  readonly value: string;
  readonly onInput: (value: string) => void;
  readonly isLong?: boolean;
  readonly isMono?: boolean;
  readonly isRequired?: boolean;
}

/** A field for text. Nothing that is typed here is offered again by the browser. */
export const TextField = ({
  value,
  onInput,
  isLong = false,
  isMono = false,
  isRequired = false,
  ...rest
}: TextFieldProps) => (
  <Field {...rest}>
    {(attributes) => {
      const shared = {
        ...attributes,
        value,
        required: isRequired,
        class: isMono ? 'mono' : undefined,
        spellcheck: !isMono,
        autocomplete: 'off',
      };
      return isLong ? (
        <textarea {...shared} rows={2} onInput={({ currentTarget }) => onInput(currentTarget.value)} />
      ) : (
        <input {...shared} type="text" onInput={({ currentTarget }) => onInput(currentTarget.value)} />
      );
    }}
  </Field>
);

interface ReasonFieldProps {
  readonly value: string;
  readonly onInput: (value: string) => void;
  readonly failure: Failure | null;
}

/** Why something is done. */
export const ReasonField = ({ failure, ...rest }: ReasonFieldProps) => (
  <TextField
    {...rest}
    label="Reason"
    problems={problemsOf(failure, 'reason')}
    hint="It stands in the trail and in the receipt. Name the incident, such as INC-7, and no secret."
    isRequired
  />
);

interface ChoiceFieldProps extends Omit<FieldProps, 'children'> {
  readonly value: string;
  readonly choices: readonly Choice[];
  readonly onChoose: (value: string) => void;
}

export const ChoiceField = ({ value, choices, onChoose, ...rest }: ChoiceFieldProps) => (
  <Field {...rest}>
    {(attributes) => (
      <select {...attributes} value={value} onChange={({ currentTarget }) => onChoose(currentTarget.value)}>
        {choices.map((choice) => (
          <option key={choice.value} value={choice.value}>
            {choice.title}
          </option>
        ))}
      </select>
    )}
  </Field>
);

interface ScopesFieldProps {
  readonly label?: string;
  /** Null: there is no ceiling, and scopes are typed. */
  readonly ceiling: readonly string[] | null;
  /** With spaces between them. */
  readonly value: string;
  readonly onInput: (value: string) => void;
  readonly problems?: readonly string[];
}

/** The scopes of a text that people typed, each once. */
export const scopesOf = (text: string): readonly string[] => [...new Set(text.split(/[\s,]+/).filter(Boolean))];

/** Scopes to tick where a role names the most that a token may hold, and else to type. */
export function ScopesField({ label = 'Scopes', ceiling, value, onInput, problems = [] }: ScopesFieldProps) {
  if (ceiling === null) {
    const hint = 'As PipeOps names them, with spaces between them: api:read deploy:write.';
    return <TextField {...{ label, value, onInput, problems, hint }} isMono isRequired />;
  }
  const chosen = scopesOf(value);
  // One that the token holds and the role does not allow can be taken away.
  const offered = [...ceiling, ...chosen.filter((scope) => !ceiling.includes(scope))];
  const toggle = (scope: string): void => {
    const next = chosen.includes(scope) ? chosen.filter((one) => one !== scope) : [...chosen, scope];
    onInput(next.join(' '));
  };
  return (
    <fieldset class="field" data-wrong={problems.length > 0 || undefined}>
      <legend>{label}</legend>
      <div class="ticks">
        {offered.map((scope) => (
          <label key={scope}>
            <input type="checkbox" checked={chosen.includes(scope)} onChange={() => toggle(scope)} />{' '}
            <code>{scope}</code>
          </label>
        ))}
      </div>
      {problems.map((problem) => (
        <p class="problem hint" key={problem}>
          {problem}
        </p>
      ))}
      {offered.length === 0 && <p class="hint">Your role allows no scope here.</p>}
    </fieldset>
  );
}
