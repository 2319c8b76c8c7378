import { Page } from '../parts/states.tsx';

/** People. */
export const PeopleView = () => <Page title="People">{null}</Page>;
