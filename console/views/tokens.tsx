import { Page } from '../parts/states.tsx';

/** Tokens. */
export const TokensView = () => <Page title="Tokens">{null}</Page>;
