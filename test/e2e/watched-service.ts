import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it } from 'vitest';
import { createClient, type AuditEvent, type Client } from './client.ts';
import { violations } from './invariants.ts';
import { untilSealed, verifyLog } from './log.ts';
import {
  databaseFiles,
  findSecrets,
  logFile,
  peopleSecretsOf,
  printed,
  webhookSecretsOf,
  type Haystack,
} from './secrets-scan.ts';
import { adminCredentialOf, freePorts, startService, type Service } from './service.ts';
import { openTrail } from './trail.ts';

const SEALING_PATIENCE_MS = 60_000;

/** One run of `npm start` after another in a state directory of their own, with every secret of theirs and all that could hold one. */
export interface WatchedService {
  readonly stateDir: string;
  /** What occurred so far; a test adds what it was handed. */
  readonly secrets: Set<string>;
  /** What the runs that have ended printed, and what commands printed beside them. */
  readonly outputs: string[];
  readonly service: () => Service;
  readonly admin: () => Client;
  readonly ci: () => Client;
  readonly start: () => Promise<void>;
  /** Ends the run in one way or another, and keeps what is to be looked through. */
  readonly end: <T>(finish: () => Promise<T>) => Promise<T>;
  /** The create of a token of this name, as the trail has it. */
  readonly created: (name: string) => Promise<AuditEvent | undefined>;
  /** DELETEs that reached PipeOps for a token. */
  readonly deletesOf: (tokenId: string) => ReturnType<Service['control']['requests']>;
  /** Where a secret might be left. */
  readonly haystacks: () => readonly Haystack[];
  readonly cleanUp: () => void;
}

export async function createWatchedService(name: string): Promise<WatchedService> {
  const stateDir = mkdtempSync(path.join(tmpdir(), `countersign-${name}-`));
  const ports = await freePorts();
  const secrets = new Set<string>();
  const outputs: string[] = [];
  let running: { readonly service: Service; readonly admin: Client; readonly ci: Client } | undefined;
  const current = () => {
    if (running === undefined) throw new Error('nothing was started');
    return running;
  };
  return {
    stateDir,
    secrets,
    outputs,
    service: () => current().service,
    admin: () => current().admin,
    ci: () => current().ci,
    start: async () => {
      const service = await startService(stateDir, ports);
      running = {
        service,
        admin: createClient(service, service.adminJwt),
        ci: createClient(service, service.ciJwt),
      };
      const made = [
        service.adminJwt,
        service.ciJwt,
        adminCredentialOf(stateDir),
        ...webhookSecretsOf(stateDir),
        ...peopleSecretsOf(stateDir),
      ];
      for (const secret of made) secrets.add(secret);
    },
    end: async (finish) => {
      const { service } = current();
      for (const { secret } of await service.control.tokens()) secrets.add(secret);
      const result = await finish();
      outputs.push(service.output());
      return result;
    },
    created: async (tokenName) =>
      (await current().admin.events({ action: 'service_account_token.create' })).find(
        (event) => event.token_name === tokenName,
      ),
    deletesOf: async (tokenId) =>
      (await current().service.control.requests({ method: 'DELETE' })).filter((request) =>
        request.path.endsWith(`/${tokenId}`),
      ),
    haystacks: () => [...databaseFiles(stateDir), logFile(stateDir), printed(outputs.join('\n'))],
    cleanUp: () => {
      running?.service.cleanUp();
      rmSync(stateDir, { recursive: true, force: true });
    },
  };
}

/**
 * The last cases of a file: its log is good, Ctrl-C ends all of it, and no secret is left.
 *
 * @param planted what the file stored on purpose, and the scan for secrets must find in the database.
 */
export function describeEnd(watched: WatchedService, planted: string): void {
  it('has a log of all this that its auditor finds good, with no option but the state directory', async () => {
    await expectGoodLog(watched);
  }, 120_000);

  it('is left by Ctrl-C with nothing open, nothing unrecorded and nothing running', async () => {
    await expectLeftByCtrlC(watched);
  });

  it('leaves no secret in its database, its log or its output', () => {
    expectNoSecretLeft(watched, planted);
  });
}

/** Its auditor finds the log of all that happened good, with no option but the state directory. */
async function expectGoodLog({ service, stateDir }: WatchedService): Promise<void> {
  const trail = openTrail(stateDir);
  await untilSealed(service(), trail, { timeoutMs: SEALING_PATIENCE_MS, withCounts: false });
  trail.close();
  const { exit_code: exitCode, verdicts } = await verifyLog(stateDir);
  const good = expect.objectContaining({ judgement: 'good' });
  expect([exitCode, verdicts]).toEqual([0, { integrity: good, completeness: good, freshness: good }]);
}

/** Ctrl-C leaves nothing open, nothing unrecorded and nothing running. */
async function expectLeftByCtrlC({ service, stateDir, end }: WatchedService): Promise<void> {
  const { control, url, stop } = service();
  const tokens = await control.tokens();
  expect(await end(stop)).toBe(0);
  const trail = openTrail(stateDir);
  expect(violations(trail.rows(), tokens)).toEqual([]);
  trail.close();
  await expect(fetch(`${url}/healthz`)).rejects.toThrow('fetch failed');
  await expect(control.tokens()).rejects.toThrow('fetch failed');
}

/**
 * No secret is in its database, its log or its output.
 *
 * @param planted what was stored on purpose, and must be found there: a scan that finds nothing must be one that would have.
 */
function expectNoSecretLeft({ service, stateDir, secrets, outputs, haystacks }: WatchedService, planted: string): void {
  expect(secrets.size).toBeGreaterThanOrEqual(8);
  expect(findSecrets(databaseFiles(stateDir), [planted]).length).toBeGreaterThan(0);
  expect(findSecrets([printed(outputs.join('\n'))], [service().url])).not.toEqual([]);
  expect(findSecrets([logFile(stateDir)], ['service-account-tokens'])).not.toEqual([]);
  expect(findSecrets(haystacks(), [...secrets])).toEqual([]);
}
