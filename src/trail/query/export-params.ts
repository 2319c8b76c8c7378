import type { RequestFailure } from '../../failures.ts';
import { createProblems } from '../../kit/problems.ts';
import { refuseUnknown } from '../../http/unknown-names.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import { decodeCursor } from '../../http/cursor.ts';
import type { EventFilter, Owner } from './event-filter.ts';
import { EXPORT_FORMATS, type ExportFormat } from './export-format.ts';
import { FILTER_PARAMETERS, readFilter } from './filter-params.ts';
import { oneOf, readParameter, type ParseParameter } from '../../http/parameters.ts';

/** An export of the trail, as it was asked for. */
export interface AuditExport {
  readonly format: ExportFormat;
  readonly filter: EventFilter;
  /** Events after this `seq`; null: from the first one on. */
  readonly afterSeq: number | null;
  /** Exports the end of the trail too where it can still change. */
  readonly latest: boolean;
}

const KNOWN = ['format', ...FILTER_PARAMETERS, 'cursor', 'latest'];

/**
 * Reads the parameters of an export: those that filter a query, `format` (`ndjson` unless given), `cursor` and `latest`.
 *
 * Anything unknown, malformed or given twice is `invalid_request`, naming the parameter; text that looks like a secret
 * is `validation_failed`.
 */
export function parseAuditExport(query: URLSearchParams, caller: Owner): Result<AuditExport, RequestFailure> {
  const problems = createProblems();
  const unknown = [...new Set(query.keys())].filter((name) => !KNOWN.includes(name));
  refuseUnknown('parameter', unknown, KNOWN, problems);
  const parsed: AuditExport = {
    format: readParameter<ExportFormat>(query, 'format', oneOf(EXPORT_FORMATS), 'ndjson', problems),
    filter: readFilter(query, caller, problems),
    afterSeq: readParameter<number | null>(query, 'cursor', cursor, null, problems),
    latest: readParameter(query, 'latest', oneOf(['true', 'false']), 'false', problems) === 'true',
  };
  return problems.any() ? err(problems.failure()) : ok(parsed);
}

const cursor: ParseParameter<number> = (text) => {
  const seq = decodeCursor(text);
  return seq === null
    ? err('Use "next" of the last line of an earlier export, or the cursor of its "Link", as it was given.')
    : ok(seq);
};
