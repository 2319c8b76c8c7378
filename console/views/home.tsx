import { useEffect } from 'preact/hooks';
import { useViewer } from '../caller.tsx';
import { navigate } from '../location.tsx';
import { Loading } from '../parts/states.tsx';
import { paths } from '../routes.ts';

/** Leads to the page that the viewer's roles are about: the trail for whoever reads it, else the tokens, else what one did oneself. */
export function HomeView() {
  const viewer = useViewer();
  const isForTokens = !viewer.may('audit:read') && viewer.may('tokens:read');
  useEffect(() => navigate(isForTokens ? paths.tokens : paths.activity, { replace: true }), []);
  return <Loading />;
}
