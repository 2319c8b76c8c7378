import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { CHECKOUT } from '../../local/settings.ts';

const FOLDER = path.join(CHECKOUT, 'drizzle');

/** The migrations, in their order. */
export const MIGRATIONS: readonly string[] = readdirSync(FOLDER)
  .filter((name) => name.endsWith('.sql'))
  .toSorted((a, b) => a.localeCompare(b));

export const statementsOf = (file: string): string[] =>
  readFileSync(path.join(FOLDER, file), 'utf8').split('--> statement-breakpoint');
