import { Page } from '../parts/states.tsx';

/** Event. */
export const EventView = (_props: { readonly eventId: string }) => <Page title="Event">{null}</Page>;
