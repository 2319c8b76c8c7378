import { createTestIssuer } from '../support/issuer.ts';
import { ISSUER } from '../support/harness.ts';
import { describeProtectedRoute } from './common-suite.ts';
import { PROTECTED_ROUTES } from './routes.ts';

const issuer = await createTestIssuer({ issuer: ISSUER });

for (const route of PROTECTED_ROUTES) describeProtectedRoute(route, issuer);
