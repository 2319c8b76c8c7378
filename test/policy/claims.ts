/** Claims in the shape that each issuer documents, with made-up values. */

const TIMES = { iat: 1_795_478_400, nbf: 1_795_478_400, exp: 1_795_482_000 };

export const GITHUB = {
  ...TIMES,
  jti: '8a0e2c4e-7a0e-4a8b-9a4f-1d4f4a3e5b7c',
  sub: 'repo:octo-org/octo-repo:ref:refs/heads/main',
  aud: 'countersign',
  ref: 'refs/heads/main',
  sha: 'f1d2d2f924e986ac86fdf7b36c94bcdf32beec15',
  repository: 'octo-org/octo-repo',
  repository_owner: 'octo-org',
  repository_owner_id: '65',
  repository_id: '74',
  repository_visibility: 'private',
  run_id: '9876543210',
  run_number: '10',
  run_attempt: '2',
  runner_environment: 'github-hosted',
  actor: 'octocat',
  actor_id: '12',
  workflow: 'deploy',
  workflow_ref: 'octo-org/octo-repo/.github/workflows/deploy.yml@refs/heads/main',
  head_ref: '',
  base_ref: '',
  event_name: 'push',
  ref_type: 'branch',
  ref_protected: 'true',
  job_workflow_ref: 'octo-org/octo-repo/.github/workflows/deploy.yml@refs/heads/main',
  iss: 'https://token.actions.githubusercontent.com',
};

const ACCESS_AUDIENCE = ['4714c1358e65fe4b408ad6d432a5f878f08194bdb4752441fd56faefa9b2b6f2'];

export const ACCESS_USER = {
  ...TIMES,
  aud: ACCESS_AUDIENCE,
  email: 'ada@acme.example',
  iss: 'https://acme.cloudflareaccess.com',
  type: 'app',
  identity_nonce: '6ei69kawdKzMIAPF',
  sub: '7335d417-61da-459d-899c-0a01c76a2f94',
  custom: { groups: ['engineering', 'security'] },
  country: 'GB',
};

export const ACCESS_SERVICE = {
  iat: TIMES.iat,
  exp: TIMES.exp,
  type: 'app',
  aud: ACCESS_AUDIENCE,
  iss: 'https://acme.cloudflareaccess.com',
  common_name: 'e367826f93b8d71185e03fe518aff3b4.access',
  sub: '',
};

/** Client credentials grant. */
export const AUTH0 = {
  iss: 'https://acme.eu.auth0.com/',
  sub: 'my_client_id@clients',
  aud: 'https://countersign.acme.example',
  iat: TIMES.iat,
  exp: TIMES.exp,
  azp: 'my_client_id',
  scope: 'tokens:mint tokens:read',
  gty: 'client-credentials',
};

/** Client credentials grant, of a custom authorisation server. */
export const OKTA = {
  ver: 1,
  jti: 'AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE',
  iss: 'https://acme.okta.com/oauth2/default',
  aud: 'api://countersign',
  iat: TIMES.iat,
  exp: TIMES.exp,
  cid: '0oabskvc6442nkvQO0h7',
  scp: ['tokens.mint'],
  sub: '0oabskvc6442nkvQO0h7',
};

/** A projected service account token. */
export const KUBERNETES = {
  ...TIMES,
  aud: ['countersign'],
  iss: 'https://oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE',
  jti: 'ea28ed49-2e11-4280-9ec5-bc3d1d84661a',
  'kubernetes.io': {
    namespace: 'shop',
    node: { name: 'ip-10-0-0-1', uid: '646e7c5e-32d6-4d42-9dbd-e504e6cbe6b1' },
    pod: { name: 'web-69cbfb9798-jv9gn', uid: '778a530c-b3f4-47c0-9cd5-ab018fb64f33' },
    serviceaccount: { name: 'deploy-web', uid: '14ee3fa4-a7e2-420f-9f9a-dbc4507c3798' },
    warnafter: 1_795_481_807,
  },
  sub: 'system:serviceaccount:shop:deploy-web',
};
