import type { Failure } from '../../package/client/failure.ts';
import { Link } from '../location.tsx';
import { paths } from '../routes.ts';

/** A failure in the words of the service, with what leads further: its page in the documentation, its event, and another try. */
export function FailureNotice({ failure, onRetry }: { readonly failure: Failure; readonly onRetry?: () => void }) {
  const help = 'help' in failure ? failure.help : null;
  const eventId = 'eventId' in failure ? failure.eventId : null;
  const problems = 'errors' in failure ? Object.entries(failure.errors) : [];
  return (
    <div class="failure" role="alert">
      <p>{wordsOf(failure)}</p>
      {problems.length > 0 && (
        <ul>
          {problems.map(([field, texts]) => (
            <li key={field}>
              <code>{field}</code>: {texts.join(' ')}
            </li>
          ))}
        </ul>
      )}
      <p class="more">
        {onRetry !== undefined && (
          <button type="button" onClick={onRetry}>
            Try again
          </button>
        )}
        {help !== null && isPath(help) && <a href={help}>What this means</a>}
        {eventId !== null && <Link to={paths.event(eventId)}>Its event</Link>}
      </p>
    </div>
  );
}

const wordsOf = (failure: Failure): string =>
  failure.code === 'client_unreachable' && !navigator.onLine
    ? 'This device is offline. Nothing was changed that is not shown here.'
    : failure.message;

/** The service names its own pages alone. Nothing else becomes a link. */
const isPath = (help: string): boolean => /^\/docs\/[a-z]/.test(help);
