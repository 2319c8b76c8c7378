import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { openApi } from './document.ts';

// `npm run contract` writes openapi.json.

const ROOT = path.join(import.meta.dirname, '..');
const { version }: { readonly version: string } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8'));

writeFileSync(path.join(ROOT, 'openapi.json'), `${JSON.stringify(openApi(version), null, 2)}\n`);
