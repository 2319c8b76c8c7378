import { Page } from '../parts/states.tsx';

/** Delivery. */
export const DeliveryView = (_props: { readonly deliveryId: string }) => <Page title="Delivery">{null}</Page>;
