#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { endWith } from '../usage.ts';
import { INSTALLED } from './host.ts';
import { run } from './run.ts';

// The command `countersign` as the package installs it. It is one file of plain JavaScript there, beside package.json.
const { version }: { readonly version: string } = JSON.parse(
  readFileSync(new URL('package.json', import.meta.url), 'utf8'),
);
await endWith(async () => await run(process.argv.slice(2), INSTALLED, version));
