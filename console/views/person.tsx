import { Page } from '../parts/states.tsx';

/** Person. */
export const PersonView = (_props: { readonly name: string }) => <Page title="Person">{null}</Page>;
