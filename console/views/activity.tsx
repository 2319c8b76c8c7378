import { Page } from '../parts/states.tsx';

/** Activity. */
export const ActivityView = () => <Page title="Activity">{null}</Page>;
