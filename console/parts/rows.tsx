import type { ComponentChildren } from 'preact';

/** A name and what stands behind it; false, or null behind a name: it is left out. */
export type Fact = readonly [name: ComponentChildren, value: ComponentChildren, tone?: string | undefined] | false;

const isShown = (fact: Fact): fact is Exclude<Fact, false> =>
  fact !== false && fact[1] !== null && fact[1] !== false && fact[1] !== '';

/** Facts about one thing, a line each. `figures` have their numbers at the right, so that they can be compared. */
export const Facts = ({
  facts,
  as = 'facts',
}: {
  readonly facts: readonly Fact[];
  readonly as?: 'facts' | 'figures' | undefined;
}) => (
  <dl class={as}>
    {facts.filter(isShown).map(([name, value, tone], index) => (
      <div key={index}>
        <dt>{name}</dt>
        <dd class={tone}>{value}</dd>
      </div>
    ))}
  </dl>
);

/** A table. Where there is little room, each of its rows is a card. */
export const Table = ({
  heads,
  children,
}: {
  readonly heads: readonly string[];
  readonly children: ComponentChildren;
}) => (
  <div class="table folds">
    <table>
      <thead>
        <tr>
          {heads.map((head) => (
            <th key={head} scope="col">
              {head}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>{children}</tbody>
    </table>
  </div>
);
