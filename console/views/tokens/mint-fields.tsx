import type { Expiry } from '../../../package/client/requests.ts';
import type { Choice } from './durations.ts';
import { ChoiceField, Field } from './fields.tsx';

/** What is chosen where a day is named instead of a duration. */
const ON_A_DAY = 'on';

/** When a token is to expire: a choice, and a day where one is named. */
export interface ChosenExpiry {
  readonly choice: string;
  /** `YYYY-MM-DD`, of this device's clock. */
  readonly day: string;
}

/** What the API is asked. A day counts to its end, on this device's clock. */
export function expiryOf({ choice, day }: ChosenExpiry): Expiry {
  if (choice !== ON_A_DAY) return choice === '' ? {} : { expires_in: choice };
  const end = new Date(`${day}T23:59:59`);
  return Number.isNaN(end.getTime()) ? { expires_in: 'on no day' } : { expires_at: end.toISOString() };
}

const dayOf = (ms: number): string => {
  const local = new Date(ms - new Date(ms).getTimezoneOffset() * 60_000);
  return local.toISOString().slice(0, 10);
};

interface ExpiryFieldProps {
  readonly value: ChosenExpiry;
  readonly choices: readonly Choice[];
  readonly onChange: (value: ChosenExpiry) => void;
  readonly problems: readonly string[];
  /** The longest life, in seconds. Null: any. */
  readonly maxSeconds: number | null;
}

export function ExpiryField({ value, choices, onChange, problems, maxSeconds }: ExpiryFieldProps) {
  const all = [...choices, { value: ON_A_DAY, title: 'On a day of your choice' }];
  const nowMs = Date.now();
  return (
    <>
      <ChoiceField
        label="Expires after"
        value={value.choice}
        choices={all}
        onChoose={(choice) => onChange({ ...value, choice })}
        problems={value.choice === ON_A_DAY ? [] : problems}
      />
      {value.choice === ON_A_DAY && (
        <Field label="Last day" problems={problems}>
          {(attributes) => (
            <input
              {...attributes}
              type="date"
              required
              value={value.day}
              min={dayOf(nowMs)}
              max={maxSeconds === null ? undefined : dayOf(nowMs + (maxSeconds - 86_400) * 1_000)}
              onInput={({ currentTarget }) => onChange({ ...value, day: currentTarget.value })}
            />
          )}
        </Field>
      )}
    </>
  );
}
