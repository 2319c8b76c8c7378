import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { CHECKOUT, readSettings } from '../../local/settings.ts';

describe('the settings of npm start', () => {
  it('start a simulator on the documented ports when nothing is configured', () => {
    expect(readSettings({})).toMatchObject({
      port: 8787,
      oidcPort: 8789,
      witnessPort: null,
      stateDir: path.join(CHECKOUT, '.state'),
      cronSeconds: 60,
      reconcileAfterSeconds: null,
      callLimits: { minute: null, hour: null },
      upstream: { kind: 'simulator', port: 8788 },
    });
  });

  it('take each variable', () => {
    const environment = {
      PORT: '9000',
      PIPEOPS_PORT: '9001',
      OIDC_PORT: '9002',
      WITNESS_PORT: '9003',
      STATE_DIR: '/somewhere/else',
      CRON_SECONDS: '5',
      RECONCILE_AFTER_SECONDS: '45',
      PIPEOPS_CALLS_PER_MINUTE: '600',
      PIPEOPS_CALLS_PER_HOUR: '1000000',
      PIPEOPS_WORKSPACE_UUID: 'w',
    };
    expect(readSettings(environment)).toEqual({
      port: 9_000,
      oidcPort: 9_002,
      witnessPort: 9_003,
      stateDir: '/somewhere/else',
      cronSeconds: 5,
      reconcileAfterSeconds: 45,
      callLimits: { minute: 600, hour: 1_000_000 },
      upstream: { kind: 'simulator', port: 9_001, workspaceUuid: 'w' },
    });
  });

  it.each(['5877A4AE-0000-4000-8000-000000000009', '5877a4ae000040008000000000000009'])(
    'name a workspace as the Worker will ask for it: %s',
    (PIPEOPS_WORKSPACE_UUID) => {
      const workspaceUuid = '5877a4ae-0000-4000-8000-000000000009';
      expect(readSettings({ PIPEOPS_WORKSPACE_UUID }).upstream).toMatchObject({ workspaceUuid });
      const configured = { PIPEOPS_API_URL: 'https://api.example', PIPEOPS_ADMIN_TOKEN: 'jwt' };
      expect(readSettings({ ...configured, PIPEOPS_WORKSPACE_UUID }).upstream).toMatchObject({ workspaceUuid });
    },
  );

  it('use a configured PipeOps, and then look at no port for a simulator', () => {
    const environment = { PIPEOPS_API_URL: 'https://api.example', PIPEOPS_ADMIN_TOKEN: 'jwt', PIPEOPS_PORT: '8787' };
    expect(readSettings(environment).upstream).toEqual({
      kind: 'configured',
      apiUrl: 'https://api.example',
      adminToken: 'jwt',
      workspaceUuid: null,
    });
  });

  it('take an empty value for an absent one', () => {
    expect(readSettings({ PORT: '', PIPEOPS_API_URL: '', PIPEOPS_ADMIN_TOKEN: '' })).toEqual(readSettings({}));
  });
});

describe('a setting that cannot be used is one line that says what to do', () => {
  it.each([
    [{ PORT: 'abc' }, 'PORT is "abc": it must be a whole number from 1 to 65535, e.g. PORT=8787.'],
    [{ PORT: '0' }, 'PORT is "0"'],
    [{ PIPEOPS_PORT: '65536' }, 'PIPEOPS_PORT is "65536"'],
    [{ PORT: '8788' }, 'PORT and PIPEOPS_PORT are both 8788'],
    [{ OIDC_PORT: 'x' }, 'OIDC_PORT is "x": it must be a whole number from 1 to 65535, e.g. OIDC_PORT=8789.'],
    [{ PORT: '8789' }, 'PORT and OIDC_PORT are both 8789: give the people another port, e.g. OIDC_PORT=8889.'],
    [{ OIDC_PORT: '8788' }, 'PIPEOPS_PORT and OIDC_PORT are both 8788'],
    [{ WITNESS_PORT: '8788' }, 'PIPEOPS_PORT and WITNESS_PORT are both 8788: give the witness another'],
    [{ CRON_SECONDS: '0.5' }, 'CRON_SECONDS is "0.5"'],
    [{ RECONCILE_AFTER_SECONDS: '44' }, 'RECONCILE_AFTER_SECONDS is "44": it must be a whole number from 45'],
    [
      { PIPEOPS_CALLS_PER_MINUTE: '9' },
      'PIPEOPS_CALLS_PER_MINUTE is "9": it must be a whole number from 10 to 1000000, e.g. PIPEOPS_CALLS_PER_MINUTE=100.',
    ],
    [{ PIPEOPS_CALLS_PER_HOUR: '1000001' }, 'PIPEOPS_CALLS_PER_HOUR is "1000001": it must be a whole number from 10'],
    [{ PIPEOPS_API_URL: 'https://api.example' }, 'PIPEOPS_API_URL is set and PIPEOPS_ADMIN_TOKEN is not'],
    [{ PIPEOPS_ADMIN_TOKEN: 'secret-jwt' }, 'PIPEOPS_ADMIN_TOKEN is set and PIPEOPS_API_URL is not'],
  ])('%j', (environment, message) => {
    const read = (): unknown => readSettings(environment);
    expect(read).toThrow(message);
    expect(read).not.toThrow(/\n|secret-jwt/);
  });
});
