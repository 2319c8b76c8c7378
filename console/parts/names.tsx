import type { Actor } from '../../package/client/types.ts';
import { Link } from '../location.tsx';
import { paths } from '../routes.ts';
import { useViewer } from '../caller.tsx';

// People and tokens by their names, each a link to its page. Ids show on hover.

interface PersonRef {
  readonly issuer: string | null;
  readonly subject: string | null;
  readonly label: string | null;
}

/** How filters name somebody: `issuer|subject`, or a label alone. */
export const nameInFilters = ({ issuer, subject, label }: PersonRef): string =>
  issuer !== null && subject !== null ? `${issuer}|${subject}` : (label ?? subject ?? '');

/** Somebody who owns tokens or acted. It is a link for whoever may look at people. */
export function PersonName({ person }: { readonly person: PersonRef }) {
  const viewer = useViewer();
  const shown = person.label ?? person.subject ?? 'nobody';
  const title = [person.subject, person.issuer].filter((part) => part !== null).join(' of ');
  if (person.issuer === null || !viewer.may('audit:read')) {
    return (
      <span class="person" title={title === '' ? undefined : title}>
        {shown}
      </span>
    );
  }
  return (
    <Link class="person" to={paths.person(nameInFilters(person))} title={title}>
      {shown}
    </Link>
  );
}

/** Who acted: a person or an app, a webhook's source, or the service itself. */
export function ActorName({ actor }: { readonly actor: Actor }) {
  if (actor.type === 'system') return <span class="person">Countersign</span>;
  if (actor.type === 'webhook') {
    return (
      <span class="person" title="A webhook">
        {actor.subject ?? 'a webhook'}
      </span>
    );
  }
  return <PersonName person={actor} />;
}

interface TokenRef {
  readonly workspaceUuid: string | null;
  readonly tokenId: string | null;
  readonly name: string | null;
}

/** A token by its name, or by the beginning of its id where nobody gave one. */
export function TokenName({ workspaceUuid, tokenId, name }: TokenRef) {
  const viewer = useViewer();
  const shown = name ?? (tokenId === null ? 'a token' : `token ${tokenId.slice(0, 8)}`);
  if (tokenId === null || workspaceUuid === null || !viewer.may('tokens:read')) {
    return (
      <span class="token" title={tokenId ?? undefined}>
        {shown}
      </span>
    );
  }
  return (
    <Link class="token" to={paths.token(workspaceUuid, tokenId)} title={tokenId}>
      {shown}
    </Link>
  );
}
