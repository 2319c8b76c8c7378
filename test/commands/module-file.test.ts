import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import * as z from 'zod';

const CHECKOUT = path.resolve(import.meta.dirname, '../..');
const NODE = path.join(CHECKOUT, 'node_modules/.bin/node');
const READER = path.join(CHECKOUT, 'commands/module-file.ts');
const DEFINE = path.join(CHECKOUT, 'src/config/define-policy.ts');

const directory = mkdtempSync(path.join(tmpdir(), 'doctor-policy-'));
afterAll(() => rmSync(directory, { recursive: true }));

const FILES: Readonly<Record<string, readonly [text: string | null, problem: RegExp]>> = {
  'missing-comma.ts': [
    "export default {\n  issuers: [\n    { issuer: 'a' audience: 'b' },\n  ],\n};\n",
    /at line 3, column 19$/,
  ],
  'no-end.ts': ['export default {\n  issuers: [],\n', /at line 2, column 15$/],
  'no-end-of-text.ts': ["export default {\n  issuers: 'a\n};\n", /at line 2, column 12$/],
  'enum.ts': ['\nenum Role { Ci }\nexport default {};\n', /TypeScript enum is not supported.* at line 2, column 1$/],
  'imports-broken.ts': ["import x from './twice.ts';\nexport default x;\n", /at \S*twice\.ts, line 2, column 7$/],
  'twice.ts': ['const a = 1;\nconst a = 2;\nexport default a;\n', /already been declared at line 2, column 7$/],
  'unknown-name.ts': ['export default {\n  issuers: issuerz,\n};\n', /issuerz is not defined at line 2, column 12$/],
  'unknown-import.ts': [
    `import { define } from '${DEFINE}';\nexport default define;\n`,
    /'define' at line 1, column 10$/,
  ],
  'missing-import.ts': [
    "import a from 'node:path';\nimport x from './shared.ts';\nexport default x;\n",
    /at line 2, column 15$/,
  ],
  'throws.ts': [
    "\n  throw new Error('sat_0123456789012345678901234567890123456789');\n",
    /loaded: \[redacted\] at line 2, column 9$/,
  ],
  'nothing.ts': ['export const policy = {};\n', /has no default export$/],
  'missing.ts': [null, /is not there$/],
  'policy.json': [
    '{"issuers": [],\n "roles": {hush}}',
    /is not JSON: Expected property name or '}' at line 2, column 12$/,
  ],
};

test('a module that cannot be read is told with its file, line and column', () => {
  const names = Object.keys(FILES);
  for (const [name, [text]] of Object.entries(FILES))
    if (text !== null) writeFileSync(path.join(directory, name), text);
  writeFileSync(path.join(directory, 'good.json'), '{"issuers": []}');
  // Node itself must load the files, as it does for the doctor: vitest has a loader of its own.
  const script = `
    const { readModuleFile } = await import(${JSON.stringify(READER)});
    const read = [];
    for (const name of ${JSON.stringify([...names, 'good.json'])}) read.push(await readModuleFile(${JSON.stringify(`${directory}/`)} + name));
    console.log(JSON.stringify(read));
  `;
  const run = spawnSync(NODE, ['--input-type=module', '--eval', script], { encoding: 'utf8' });
  const read = z
    .array(
      z.object({
        ok: z.boolean(),
        value: z.unknown().optional(),
        error: z.string().optional(),
      }),
    )
    .parse(JSON.parse(run.stdout));
  expect(read.map(({ error }) => error)).toEqual([
    ...names.map((name) => expect.stringMatching(FILES[name]?.[1] ?? /never/)),
    undefined,
  ]);
  expect(read.at(-1)?.value).toEqual({ issuers: [] });
  expect(run.stdout).not.toMatch(/hush|sat_/);
});
