import { readFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import * as z from 'zod';
import { benchExport } from './audit-export.ts';
import { benchAuditQueries } from './audit-query.ts';
import { benchAuditWrites } from './audit-writes.ts';
import { benchVerification } from './verify.ts';

// `npm run bench`: what things cost on this machine. Fails where a figure is beyond what was promised.

const parts: readonly (() => Promise<boolean>)[] = [
  benchVerification,
  benchAuditQueries,
  benchAuditWrites,
  benchExport,
];

const [cpu] = cpus();
console.log(
  `${cpu?.model ?? 'unknown CPU'}, ${cpus().length} cores; Node ${process.versions.node}, workerd ${await workerd()}.`,
);
for (const part of parts) if (!(await part())) process.exitCode = 1;

async function workerd(): Promise<string> {
  const manifest = new URL('../node_modules/workerd/package.json', import.meta.url);
  return z.object({ version: z.string() }).parse(JSON.parse(await readFile(manifest, 'utf8'))).version;
}
