import { useEffect, useRef, useState } from 'preact/hooks';
import type { AuditFilter } from '../../../package/client/requests.ts';
import type { Failure } from '../../../package/client/failure.ts';
import { api, failureFrom, tellSignedOut } from '../../api.ts';
import { Dialog } from '../../parts/dialog.tsx';
import { FailureNotice } from '../../parts/failure.tsx';
import { ExportCut, type ExportFormat, ExportTooLarge, type Progress, readExport } from './export-file.ts';

const CUT = 'The export broke off, so nothing was saved. Try it again.';
const TOO_LARGE =
  'This is more than 50 MB, so nothing was saved. Narrow the filter, or run: countersign audit --export csv --out FILE';

type Stage =
  | { readonly kind: 'asking' }
  | { readonly kind: 'reading'; readonly progress: Progress }
  | { readonly kind: 'saved'; readonly progress: Progress }
  | { readonly kind: 'failed'; readonly words: string | null; readonly failure: Failure | null };

/** Saves all events of a filter as a file. It is saved only when it is known to be whole. */
export function ExportDialog({
  filter,
  typed,
  hasReads,
  onClose,
}: {
  readonly filter: AuditFilter;
  /** The filter as it was typed, to be shown. */
  readonly typed: string;
  /** Whether reads are among the events. */
  readonly hasReads: boolean;
  readonly onClose: () => void;
}) {
  const [stage, setStage] = useState<Stage>({ kind: 'asking' });
  const [format, setFormat] = useState<ExportFormat>('csv');
  const controller = useRef<AbortController | null>(null);
  useEffect(() => () => controller.current?.abort(), []);
  const isReading = stage.kind === 'reading';

  const run = async (): Promise<void> => {
    const own = new AbortController();
    controller.current = own;
    let progress: Progress = { events: format === 'csv' ? null : 0, bytes: 0 };
    setStage({ kind: 'reading', progress });
    try {
      const file = await readExport(api.audit, filter, format, own.signal, (now) => {
        progress = now;
        setStage({ kind: 'reading', progress });
      });
      if (own.signal.aborted) return;
      save(file, `countersign-audit-${new Date().toISOString().replaceAll(/[-:]|\.\d+/g, '')}.${format}`);
      setStage({ kind: 'saved', progress: { ...progress, bytes: file.size } });
    } catch (error) {
      if (own.signal.aborted) return;
      own.abort();
      setStage(stageOf(error));
    }
  };
  return (
    <Dialog title="Export the events" onClose={onClose} isDismissible={!isReading}>
      <p>
        {typed === '' ? 'All events' : 'The events of '}
        {typed !== '' && <code>{typed}</code>}
        {hasReads ? '' : ', without reads'}, the oldest first. Events that are still open are left out. The export
        itself is an event of the trail.
      </p>
      <fieldset disabled={isReading}>
        <legend>Format</legend>
        <label class="choice">
          <input type="radio" name="format" checked={format === 'csv'} onChange={() => setFormat('csv')} /> CSV, for
          spreadsheets
        </label>
        <label class="choice">
          <input type="radio" name="format" checked={format === 'ndjson'} onChange={() => setFormat('ndjson')} />{' '}
          NDJSON, one event a line, for programs
        </label>
      </fieldset>
      <p role="status" class="quiet">
        {stage.kind === 'reading' && `Reading: ${amount(stage.progress)}…`}
        {stage.kind === 'saved' && `Saved whole: ${amount(stage.progress)}.`}
      </p>
      {stage.kind === 'failed' && stage.failure !== null && <FailureNotice failure={stage.failure} />}
      {stage.kind === 'failed' && stage.words !== null && (
        <p class="problem" role="alert">
          {stage.words}
        </p>
      )}
      <div class="actions">
        <button
          type="button"
          onClick={() => {
            controller.current?.abort();
            onClose();
          }}
        >
          {isReading ? 'Stop' : 'Close'}
        </button>
        <button type="button" class="primary" disabled={isReading} onClick={() => void run()}>
          {stage.kind === 'saved' ? 'Export again' : 'Export'}
        </button>
      </div>
    </Dialog>
  );
}

function stageOf(error: unknown): Stage {
  if (error instanceof ExportTooLarge) return { kind: 'failed', words: TOO_LARGE, failure: null };
  if (error instanceof ExportCut || error instanceof TypeError) return { kind: 'failed', words: CUT, failure: null };
  const failure = failureFrom(error);
  tellSignedOut(failure);
  return { kind: 'failed', words: null, failure };
}

function amount({ events, bytes }: Progress): string {
  const size = bytes < 1024 * 1024 ? `${Math.ceil(bytes / 1024)} KB` : `${(bytes / 1024 / 1024).toFixed(1)} MB`;
  return events === null ? size : `${events.toLocaleString('en')} ${events === 1 ? 'event' : 'events'}, ${size}`;
}

/** Gives a file to the browser, as a download. */
function save(file: Blob, name: string): void {
  const url = URL.createObjectURL(file);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  // The download has begun by then, and the memory is given back.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
