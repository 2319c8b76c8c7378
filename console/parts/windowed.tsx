import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

/** Rows that are drawn above and below what can be seen, so that a quick scroll shows no gap. */
const SPARE_ROWS = 20;
/** Fewer rows than this are all drawn. */
const WINDOW_FROM_ROWS = 200;

interface WindowedProps<Item> {
  readonly items: readonly Item[];
  /** The height of a row in CSS pixels; the style sheet gives each row of such a table that height. */
  readonly rowHeightPx: number;
  /** How many columns the table has. */
  readonly columns: number;
  readonly row: (item: Item, index: number) => ComponentChildren;
}

/** The body of a table. Of ten thousand rows it draws those that can be seen, so that scrolling stays smooth. */
export function WindowedRows<Item>({ items, rowHeightPx, columns, row }: WindowedProps<Item>) {
  const body = useRef<HTMLTableSectionElement>(null);
  const [first, setFirst] = useState(0);
  const isWindowed = items.length > WINDOW_FROM_ROWS;
  const seenRows = Math.ceil(innerHeight / rowHeightPx);
  useEffect(() => {
    if (!isWindowed) return;
    const look = (): void => {
      const top = body.current?.getBoundingClientRect().top ?? 0;
      setFirst(Math.max(0, Math.floor(-top / rowHeightPx / SPARE_ROWS) * SPARE_ROWS - SPARE_ROWS));
    };
    look();
    addEventListener('scroll', look, { passive: true });
    addEventListener('resize', look);
    return () => {
      removeEventListener('scroll', look);
      removeEventListener('resize', look);
    };
  }, [isWindowed, rowHeightPx]);
  const begin = isWindowed ? Math.min(first, items.length) : 0;
  const end = isWindowed ? Math.min(items.length, begin + seenRows + 3 * SPARE_ROWS) : items.length;
  return (
    <tbody ref={body}>
      <Spacer rows={begin} heightPx={rowHeightPx} columns={columns} />
      {items.slice(begin, end).map((item, index) => row(item, begin + index))}
      <Spacer rows={items.length - end} heightPx={rowHeightPx} columns={columns} />
    </tbody>
  );
}

const Spacer = (props: { readonly rows: number; readonly heightPx: number; readonly columns: number }) =>
  props.rows === 0 ? null : (
    <tr aria-hidden="true" class="spacer">
      <td colSpan={props.columns} style={{ height: `${props.rows * props.heightPx}px` }} />
    </tr>
  );
