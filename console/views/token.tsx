import { Page } from '../parts/states.tsx';

/** Token. */
export const TokenView = (_props: { readonly workspaceUuid: string; readonly tokenId: string }) => (
  <Page title="Token">{null}</Page>
);
