import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readRunFile } from '../../local/state-dir.ts';
import { freePorts, startService, type Ports, type Service } from './service.ts';
import { until } from './until.ts';

const stateDir = mkdtempSync(path.join(tmpdir(), 'countersign-launcher-'));
let ports: Ports;
let service: Service;
beforeAll(async () => {
  ports = await freePorts();
  service = await startService(stateDir, ports);
}, 120_000);
afterAll(() => {
  service.cleanUp();
  rmSync(stateDir, { recursive: true, force: true });
});

// workerd stands still where nobody reads what it prints, and it is the launcher that reads it.
it('npm start goes on while workerd stands still and the cron runs for the first time', async () => {
  const people = async (): Promise<number> => {
    const answer = await fetch(`http://localhost:${ports.people}/.well-known/openid-configuration`, {
      headers: { Connection: 'close' },
      signal: AbortSignal.timeout(10_000),
    });
    await answer.text();
    return answer.status;
  };
  await until('the provider to answer', async () => (await people()) === 200);
  const { workerdPid } = readRunFile(stateDir) ?? { workerdPid: 0 };
  expect(workerdPid).toBeGreaterThan(0);
  process.kill(workerdPid, 'SIGSTOP');
  try {
    service.triggerCron();
    // The launcher takes the signal between two of them at the latest.
    for (let asked = 0; asked < 5; asked += 1) expect(await people()).toBe(200);
  } finally {
    process.kill(workerdPid, 'SIGCONT');
  }
});
