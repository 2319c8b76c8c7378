import { Link } from '../location.tsx';
import { Page } from '../parts/states.tsx';
import { paths } from '../routes.ts';

/** A path of the console that shows nothing. */
export const NotFoundView = () => (
  <Page title="There is no such page">
    <p>
      The address may be cut short. <Link to={paths.home}>Begin at the start page</Link>.
    </p>
  </Page>
);
