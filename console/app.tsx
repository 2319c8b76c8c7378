import { Frame } from './frame.tsx';
import { useLocation } from './location.tsx';
import { segmentsOf } from './routes.ts';
import { ActivityView } from './views/activity.tsx';
import { EventView } from './views/event.tsx';
import { HealthView } from './views/health.tsx';
import { HomeView } from './views/home.tsx';
import { NotFoundView } from './views/not-found.tsx';
import { PeopleView } from './views/people.tsx';
import { PersonView } from './views/person.tsx';
import { SignedOutView, SignInView } from './views/sign-in.tsx';
import { TokenView } from './views/tokens/token.tsx';
import { TokensView } from './views/tokens/list.tsx';
import { DeliveryView, RevocationView } from './views/delivery.tsx';
import { WebhooksView } from './views/webhooks.tsx';
import { WhoseView } from './views/tokens/whose.tsx';

/** The console: which view each path shows. */
export function App() {
  const { pathname } = useLocation();
  const [room, first, second] = segmentsOf(pathname);
  if (room === 'sign-in') return <SignInView />;
  if (room === 'signed-out') return <SignedOutView />;
  return <Frame>{viewOf(room, first, second)}</Frame>;
}

/** What is new has a `key`, so that no view shows what it knew of another event, token or person. */
function viewOf(room: string | undefined, first: string | undefined, second: string | undefined) {
  switch (room) {
    case undefined:
      return <HomeView />;
    case 'activity':
      return first === undefined ? <ActivityView /> : <EventView key={first} eventId={first} />;
    case 'tokens':
      if (first === undefined) return <TokensView />;
      return second === undefined ? (
        <NotFoundView />
      ) : (
        <TokenView key={`${first}/${second}`} workspaceUuid={first} tokenId={second} />
      );
    case 'whose':
      return <WhoseView />;
    case 'people':
      return first === undefined ? <PeopleView /> : <PersonView key={first} name={first} />;
    case 'webhooks':
      return first === undefined ? <WebhooksView /> : <DeliveryView key={first} deliveryId={first} />;
    case 'revocations':
      return first === undefined ? <NotFoundView /> : <RevocationView key={first} revocationId={first} />;
    case 'health':
      return <HealthView />;
    default:
      return <NotFoundView />;
  }
}
