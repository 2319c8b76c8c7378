import { Fragment } from 'preact';
import type { AuditEvent } from '../../../package/client/types.ts';
import { useViewer } from '../../caller.tsx';
import { Link } from '../../location.tsx';
import { ActorName, PersonName, TokenName } from '../../parts/names.tsx';
import { fullTime } from '../../parts/time.tsx';
import { paths } from '../../routes.ts';
import { deliveryPath } from './links.ts';
import type { Part } from './parts.ts';
import { questionPath } from './place.ts';
import { inSecondPerson, type Sentence } from './sentence.ts';

/** Names of tokens that no event on the page tells, by their ids. */
export type TokenNames = ReadonlyMap<string, string>;

/** What happened, with a link for everything that it names. */
export function SentenceLine({
  event,
  sentence,
  names,
}: {
  readonly event: Pick<AuditEvent, 'actor'>;
  readonly sentence: Sentence;
  readonly names: TokenNames;
}) {
  const viewer = useViewer();
  const isMe = viewer.isMe(event.actor);
  const partOf = (part: Part) => {
    switch (part.kind) {
      case 'text':
        return isMe ? inSecondPerson(part.text) : part.text;
      case 'actor':
        return isMe ? (
          <span class="person" title={event.actor.label ?? event.actor.subject ?? undefined}>
            You
          </span>
        ) : (
          <ActorName actor={event.actor} />
        );
      case 'person':
        return <PersonName person={part} />;
      case 'token':
        return (
          <TokenName
            workspaceUuid={part.workspaceUuid}
            tokenId={part.tokenId}
            name={part.name ?? (part.tokenId === null ? null : (names.get(part.tokenId) ?? null))}
          />
        );
      case 'code':
        return <code>{part.text}</code>;
      case 'time':
        return (
          <time dateTime={part.at} title={fullTime(part.at)}>
            {day.format(new Date(part.at))}
          </time>
        );
      case 'delivery':
        return viewer.may('audit:read') ? (
          <Link to={deliveryPath(part.id, part.isByCaller)} title={part.id}>
            {part.text}
          </Link>
        ) : (
          part.text
        );
      case 'event':
        return (
          <Link to={paths.event(part.id)} title={part.id}>
            {part.text}
          </Link>
        );
      case 'question':
        return (
          <Link to={questionPath(part.query)} title="Ask the same">
            <code>{part.query}</code>
          </Link>
        );
    }
  };
  return (
    <>
      {sentence.what.map((part, index) => (
        // oxlint-disable-next-line react/no-array-index-key -- a sentence never changes its order
        <Fragment key={index}>{partOf(part)}</Fragment>
      ))}
    </>
  );
}

/** Why it failed. Of what the viewer did itself it is said to "you". */
export function Why({ event, sentence }: { readonly event: AuditEvent; readonly sentence: Sentence }) {
  const viewer = useViewer();
  if (sentence.why === null) return null;
  return <>{viewer.isMe(event.actor) ? inSecondPerson(sentence.why) : sentence.why}</>;
}

const day = new Intl.DateTimeFormat('en', { dateStyle: 'medium' });

const STATUS = {
  success: { word: 'Done', tone: 'good' },
  failure: { word: 'Failed', tone: 'danger' },
  attempted: { word: 'Open', tone: 'warning' },
} as const;

/** The status as a dot and a word. */
export function StatusMark({ status }: { readonly status: AuditEvent['status'] }) {
  const { word, tone } = STATUS[status];
  return (
    <span class={`mark ${tone}`} title={status}>
      {word}
    </span>
  );
}
