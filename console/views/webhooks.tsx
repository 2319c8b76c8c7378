import { Page } from '../parts/states.tsx';

/** Webhooks. */
export const WebhooksView = () => <Page title="Webhooks">{null}</Page>;
