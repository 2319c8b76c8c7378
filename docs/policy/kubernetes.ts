import { definePolicy } from '../../src/config/define-policy.ts';

/** `kubectl get --raw /.well-known/openid-configuration` shows a cluster's. It must be reachable from outside. */
const CLUSTER = 'https://oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE';

/**
 * Kubernetes service accounts. A pod gets its JWT from a projected volume:
 *
 *     serviceAccountToken: { audience: countersign, expirationSeconds: 3600, path: token }
 *
 * Tokens belong to the service account's UID: one that is deleted and made again under the same name is another.
 */
export default definePolicy({
  issuers: [
    {
      issuer: CLUSTER,
      audience: 'countersign',
      algorithms: ['RS256'],
      subject: '/kubernetes.io/serviceaccount/uid',
      label: 'sub',
      actorType: 'service_account',
      maxAge: '1h',
    },
  ],
  roles: {
    deployer: {
      permissions: ['tokens:create', 'tokens:read', 'tokens:revoke'],
      tokens: 'own',
      workspaces: ['5877a4ae-6a3c-4d0f-9a55-0f2f6a8f3f0e'],
      scopes: ['api:read', 'api:write'],
      maxTtl: '12h',
    },
  },
  bindings: [
    {
      issuer: CLUSTER,
      claims: { '/kubernetes.io/namespace': 'shop', '/kubernetes.io/serviceaccount/name': 'deploy-*' },
      role: 'deployer',
    },
  ],
});
