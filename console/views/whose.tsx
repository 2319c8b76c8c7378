import { Page } from '../parts/states.tsx';

/** Whose token is this?. */
export const WhoseView = () => <Page title="Whose token is this?">{null}</Page>;
