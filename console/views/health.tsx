import { Page } from '../parts/states.tsx';

/** Health. */
export const HealthView = () => <Page title="Health">{null}</Page>;
