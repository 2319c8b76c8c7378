/** Why something is done. It stands in the trail, so it names an incident and no secret. */
export const ReasonField = ({
  value,
  onChange,
}: {
  readonly value: string;
  readonly onChange: (text: string) => void;
}) => (
  <label class="field">
    <span class="label">Reason</span>
    <input
      value={value}
      required
      maxLength={500}
      placeholder="INC-7: laptop stolen"
      autocomplete="off"
      onInput={(event) => onChange(event.currentTarget.value)}
    />
    <span class="hint">It stands in the trail and in the receipt. Name the incident.</span>
  </label>
);
