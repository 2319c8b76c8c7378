import path from 'node:path';
import { buildSite } from './build.ts';

// `npm run docs` makes the pages of /docs, where wrangler.toml says that they are.

await buildSite(path.join(import.meta.dirname, '..', 'dist', 'site'));
