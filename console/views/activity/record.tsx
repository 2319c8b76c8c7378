import { useMemo } from 'preact/hooks';
import type { AuditEvent } from '../../../package/client/types.ts';
import { Link } from '../../location.tsx';
import { CopyButton } from '../../parts/copy.tsx';
import { recordLines } from './links.ts';

/** The record of an event as the API gives it. Whatever it names is a link. */
export function Record({ event }: { readonly event: AuditEvent }) {
  const lines = useMemo(() => recordLines(event), [event]);
  return (
    <div class="raw">
      <CopyButton text={JSON.stringify(event, null, 2)} label="Copy the record" />
      <pre class="record" tabIndex={0} aria-label="The record as JSON">
        <code>
          {lines.map((pieces, index) => (
            // oxlint-disable-next-line react/no-array-index-key -- the lines of one record never change their order
            <span key={index}>
              {pieces.map(({ text, to }) =>
                to === null ? (
                  text
                ) : (
                  <Link key={to} to={to}>
                    {text}
                  </Link>
                ),
              )}
              {'\n'}
            </span>
          ))}
        </code>
      </pre>
    </div>
  );
}
