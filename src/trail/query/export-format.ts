import { escapeControls } from '../../kit/control-characters.ts';
import { csvLine, type CsvValue } from './csv.ts';
import type { presentEvent } from './present.ts';

export const EXPORT_FORMATS = ['ndjson', 'csv'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

type Event = ReturnType<typeof presentEvent>;

/** The last line of an export that has one: without it, it was cut. */
export interface ExportTrailer {
  /** Whether the end of the trail was reached, or of that part of it that no longer changes. */
  readonly complete: boolean;
  /** Events in this answer. */
  readonly count: number;
  /** The cursor to go on with; null if complete. */
  readonly next: string | null;
}

/** How an export is written. Each event is one line. */
export interface ExportEncoding {
  readonly contentType: string;
  readonly head: string;
  event(event: Event): string;
  /** Null where the format has no room for a last line: RFC 4180 knows records alone. */
  readonly trailer: ((trailer: ExportTrailer) => string) | null;
}

const COLUMNS: Readonly<Record<string, (event: Event) => CsvValue>> = {
  seq: ({ seq }) => seq,
  id: ({ id }) => id,
  occurred_at: (event) => event.occurred_at,
  settled_at: (event) => event.settled_at,
  action: ({ action }) => action,
  status: ({ status }) => status,
  count: ({ count }) => count,
  last_at: (event) => event.last_at,
  actor_type: ({ actor }) => actor.type,
  actor_issuer: ({ actor }) => actor.issuer,
  actor_subject: ({ actor }) => actor.subject,
  actor_label: ({ actor }) => actor.label,
  workspace_uuid: (event) => event.workspace_uuid,
  token_id: (event) => event.token_id,
  token_name: (event) => event.token_name,
  request_id: (event) => event.request_id,
  ip: ({ ip }) => ip,
  user_agent: (event) => event.user_agent,
  upstream_status: (event) => event.upstream_status,
  error_code: (event) => event.error_code,
  detail: ({ detail }) => ({ json: detail }),
};

const jsonLine = (value: unknown): string => `${escapeControls(JSON.stringify(value))}\n`;

export const EXPORT_ENCODINGS: Readonly<Record<ExportFormat, ExportEncoding>> = {
  ndjson: { contentType: 'application/x-ndjson', head: '', event: jsonLine, trailer: jsonLine },
  csv: {
    contentType: 'text/csv; charset=utf-8',
    head: csvLine(Object.keys(COLUMNS)),
    event: (event) => csvLine(Object.values(COLUMNS).map((valueOf) => valueOf(event))),
    trailer: null,
  },
};
