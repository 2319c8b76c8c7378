import { Page } from '../parts/states.tsx';

/** Revocation. */
export const RevocationView = (_props: { readonly revocationId: string }) => <Page title="Revocation">{null}</Page>;
