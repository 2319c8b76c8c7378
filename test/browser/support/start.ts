import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { chromium } from 'playwright-core';
import type { TestProject } from 'vitest/node';
import { CHECKOUT } from '../../../local/settings.ts';
import { freePorts, startService, WITHOUT_CALL_LIMITS } from '../../e2e/service.ts';

/**
 * Starts what the tests share: a service as `npm start` runs it, and a Chromium. Gives what stops both. Neither takes signals by itself,
 * because a run that is interrupted stops them here.
 */
export default async function start(project: TestProject): Promise<() => Promise<void>> {
  const executablePath = process.env['CHROMIUM_PATH'];
  if (!executablePath)
    throw new Error('CHROMIUM_PATH is not set. `npm run test:browser` finds a Chromium and sets it.');
  const stateDir = mkdtempSync(path.join(tmpdir(), 'countersign-browser-'));
  // A fast machine asks for more in a minute than PipeOps answers.
  const service = await startService(stateDir, await freePorts(), WITHOUT_CALL_LIMITS);
  // A run that dies half-way leaves no service behind.
  process.on('exit', service.cleanUp);
  try {
    // The pages show what somebody sees who follows the README.
    const demo = { cwd: CHECKOUT, env: { ...process.env, STATE_DIR: stateDir } };
    await promisify(execFile)('npm', ['run', '-s', 'demo'], demo);
    const browser = await chromium.launchServer({
      executablePath,
      // Chromium's sandbox refuses root, and a container has no other user.
      args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
      handleSIGINT: false,
      handleSIGTERM: false,
      handleSIGHUP: false,
    });
    project.provide('browserRun', { url: service.url, stateDir, webSocketUrl: browser.wsEndpoint() });
    return async () => {
      await browser.close();
      await service.stop();
      rmSync(stateDir, { recursive: true, force: true });
    };
  } catch (error) {
    await service.stop();
    throw error;
  }
}
