import { useEffect, useState } from 'preact/hooks';
import type { AuditFilter } from '../../../package/client/requests.ts';
import { api, useAction } from '../../api.ts';
import { Dialog } from '../../parts/dialog.tsx';
import { FailureNotice } from '../../parts/failure.tsx';
import { bytes } from '../../parts/figures.ts';
import { save } from '../../parts/save.ts';
import { type ExportFormat, readExport } from './export-file.ts';

const FORMATS = [
  ['csv', 'CSV, for spreadsheets'],
  ['ndjson', 'NDJSON, one event a line, for programs'],
] as const satisfies readonly (readonly [ExportFormat, string])[];

interface ExportDialogProps {
  readonly filter: AuditFilter;
  /** The filter as it was typed, to be shown. */
  readonly typed: string;
  /** Whether reads are among the events. */
  readonly hasReads: boolean;
  readonly onClose: () => void;
}

/** Saves all events of a filter as a file. It is saved only when it is known to be whole. */
export function ExportDialog({ filter, typed, hasReads, onClose }: ExportDialogProps) {
  const [format, setFormat] = useState<ExportFormat>('csv');
  const [words, setWords] = useState('');
  const [controller] = useState(() => new AbortController());
  useEffect(() => () => controller.abort(), []);
  const exporting = useAction(async () => {
    const tell = (size: number): void => setWords(`Reading: ${bytes(size)}…`);
    tell(0);
    const file = await readExport(api.audit, filter, format, controller.signal, tell);
    save(file, `countersign-audit-${new Date().toISOString().replaceAll(/[-:]|\.\d+/g, '')}.${format}`);
    setWords(`Saved whole: ${bytes(file.size)}.`);
  });
  return (
    <Dialog title="Export the events" onClose={onClose} isDismissible={!exporting.isRunning}>
      <p>
        {typed === '' ? 'All events' : 'The events of '}
        {typed !== '' && <code>{typed}</code>}
        {hasReads ? '' : ', without reads'}, the oldest first. Events that are still open are left out. The export
        itself is an event of the trail.
      </p>
      <fieldset disabled={exporting.isRunning}>
        <legend>Format</legend>
        {FORMATS.map(([name, title]) => (
          <label key={name} class="choice">
            <input type="radio" name="format" checked={format === name} onChange={() => setFormat(name)} /> {title}
          </label>
        ))}
      </fieldset>
      {exporting.failure === null ? (
        <p role="status" class="quiet">
          {words}
        </p>
      ) : (
        <FailureNotice failure={exporting.failure} />
      )}
      <div class="actions">
        <button type="button" onClick={onClose}>
          {exporting.isRunning ? 'Stop' : 'Close'}
        </button>
        <button type="button" class="primary" disabled={exporting.isRunning} onClick={() => void exporting.run()}>
          Export
        </button>
      </div>
    </Dialog>
  );
}
