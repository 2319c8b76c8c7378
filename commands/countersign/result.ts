import { type Column, layoutOf, type Line, lineOf, titleLine } from '../columns.ts';
import { writeOutput } from '../output.ts';
import { printableJson, printableLines } from '../terminal-text.ts';

/** Where the result of a command goes: a table on a terminal, a line of JSON for each thing anywhere else. */
export interface Output {
  /** Whether things are written as JSON. */
  readonly isJson: boolean;
  /** The width of a line. Where there is no terminal it has no end. */
  readonly cells: number;
  /** Writes a line of text. It settles when there is room for another. */
  line(text: string): Promise<void>;
  /** Writes text as it is. A terminal obeys nothing in it. */
  text(text: string): Promise<void>;
  /** Writes a thing as a line of JSON. */
  json(value: unknown): Promise<void>;
  /** Writes things as lines of JSON, or as lines of a table. */
  table<Item>(columns: readonly Column[], items: readonly Item[], cellsOf: (item: Item) => Line): Promise<void>;
  /** Writes one thing as a line of JSON, or as a line of text for each of its facts. */
  facts(value: unknown, factsOf: () => Facts): Promise<void>;
  /** Writes a line about the result. */
  notice(line: string): void;
}

/** The facts of a thing, safe to print. */
export type Facts = readonly (readonly [name: string, value: string])[];

/** How a user wants a result. */
export interface ResultOptions {
  readonly json?: boolean | undefined;
  readonly table?: boolean | undefined;
}

export interface OutputSink {
  readonly write: (text: string) => Promise<void>;
  readonly notice: (line: string) => void;
  /** The width of the terminal, or null if there is none. */
  readonly cells: number | null;
}

export const STANDARD_OUTPUT: OutputSink = {
  write: writeOutput,
  notice: (line) => console.error(line),
  cells: process.stdout.isTTY ? process.stdout.columns || 80 : null,
};

/** The output of a command. A file gets JSON, and names of any length wherever no terminal cuts them. */
export function outputTo({ write, notice, cells }: OutputSink, { json, table }: ResultOptions): Output {
  const isJson = json === true || (table !== true && cells === null);
  const width = cells ?? Infinity;
  const line = async (text: string): Promise<void> => await write(`${text}\n`);
  const writeJson = async (value: unknown): Promise<void> => await line(printableJson(value));
  return {
    isJson,
    cells: width,
    line,
    text: async (given) => await write(cells === null ? given : printableLines(given)),
    json: writeJson,
    notice,
    table: async (columns, items, cellsOf) => {
      if (isJson) {
        for (const item of items) await writeJson(item);
        return;
      }
      if (items.length === 0) return;
      const lines = items.map(cellsOf);
      const layout = layoutOf(columns, lines, width);
      await line(titleLine(columns, layout, width));
      for (const one of lines) await line(lineOf(columns, one, layout, width));
    },
    facts: async (value, factsOf) => {
      if (isJson) {
        await writeJson(value);
        return;
      }
      const facts = factsOf();
      const widest = Math.max(...facts.map(([name]) => name.length));
      for (const [name, text] of facts) await line(`${name.padEnd(widest)}  ${text}`);
    },
  };
}
