import { createTestIssuer } from '../support/issuer.ts';
import { ISSUER } from '../support/harness.ts';
import { describeProtectedRoute } from './common-suite.ts';
import { PROTECTED_ROUTES } from './routes.ts';
import { inEachMode } from './snapshots.ts';

const issuer = await createTestIssuer({ issuer: ISSUER });

for (const [name, route, mode] of inEachMode(PROTECTED_ROUTES)) describeProtectedRoute(name, route, mode, issuer);
