import { describe, expect, it } from 'vitest';
import { changeOf } from './lines.ts';
import { mutantsOf, mutated } from './mutate.ts';
import { SWITCH } from '../worker/agreed.ts';
import { withSwitches } from './switches.ts';

const table: readonly [kind: string, source: string, mutants: readonly string[]][] = [
  ['a guard', 'for (const a of b) { if (!a) continue; }', ['for (const a of b) {  }']],
  ['an if', 'if (a) { b.push(1); }', ['', 'if (a) {  }']],
  [
    'an if with an else',
    'if (a) b = 1; else c = 1;',
    ['true', 'false']
      .map((test) => `if (${test}) b = 1; else c = 1;`)
      .concat('if (a)  else c = 1;', 'if (a) b = 1; else '),
  ],
  [
    'one side of a chain',
    'x(a && (b || c) && d);',
    ['', 'x((b || c) && d);', 'x(a && d);', 'x(a && (b || c));', 'x(a && (c) && d);', 'x(a && (b) && d);'],
  ],
  ['a fallback', 'const a: string = b?.c ?? d();', ['const a: string = b?.c;']],
  ['both branches', 'const a = b ? c : d;', ['const a = c;', 'const a = d;']],
  ['a boundary', 'const a = b <= c;', ['const a = b < c;']],
  ['a comparison of its own', 'const a = b === c;', ['const a = true;', 'const a = false;']],
  ['a comparison within a condition', 'const a = b === c && d;', ['const a = d;', 'const a = b === c;']],
  [
    'refinements',
    'const a = z.string().min(1).regex(/x/);',
    ['const a = z.string().min(1);', 'const a = z.string().regex(/x/);'],
  ],
  ['no refinement', 'const a = Math.max(b), d = e?.f.filter(g).h;', []],
  ['an object that takes no unknown field', 'const a = z.strictObject({});', ['const a = z.object({});']],
  [
    'a filter, and a quantifier',
    'const a = b.filter(c).every(d);',
    ['const a = b.filter(c).some(d);', 'const a = b.every(d);'],
  ],
  ['options of a call', 'a({ b, c: d });', ['', 'a({ c: d });', 'a({ b });']],
  [
    'the only option of a call',
    'const a = b({\n  c: false,\n});',
    ['const a = b({});', 'const a = b({\n  c: true,\n});'],
  ],
  ['one of two bounds', 'const a = Math.min(b, c);', ['const a = Math.min(c);', 'const a = Math.min(b);']],
  ['a step', 'const a = b.trim().c();', ['const a = b.c();']],
  ['statements of a batch', 'const a = [b(c), ...d];', ['const a = [...d];', 'const a = [b(c)];']],
  ['the only element of a list', 'const a = [\n  b,\n];', ['const a = [];']],
  ['no element of a vocabulary', "const a = ['1', '2', '3', '4', '5', '6', '7', '8', '9'] as const;", []],
  [
    'conditions of a query',
    'const a = and(eq(b, c), lt(d, e));',
    ['const a = and(lt(d, e));', 'const a = and(eq(b, c));', 'const a = and(eq(b, c), lte(d, e));'],
  ],
  [
    'effects',
    'async () => { await a.b(c); d.e = f; g; };',
    ['async () => {  d.e = f; g; };', 'async () => { await a.b(c);  g; };'],
  ],
  [
    'conditions of SQL',
    'const a = sql`update ${t} set b = 1 where ${t.c} = ${f(`}`)} and (d is null or e between 1 and 2) and g <= 3 returning h`;',
    [
      'where (d is null or e between 1 and 2) and g <= 3 returning h',
      'where ${t.c} = ${f(`}`)} and g <= 3 returning h',
      'where ${t.c} = ${f(`}`)} and (e between 1 and 2) and g <= 3 returning h',
      'where ${t.c} = ${f(`}`)} and (d is null) and g <= 3 returning h',
      'where ${t.c} = ${f(`}`)} and (d is null or e between 1 and 2) returning h',
      'where ${t.c} = ${f(`}`)} and (d is null or e between 1 and 2) and g < 3 returning h',
    ].map((condition) => `const a = sql\`update \${t} set b = 1 ${condition}\`;`),
  ],
  [
    'SQL in plain text',
    "const a = 'select 1 from b where c = 1 and d';",
    ["const a = 'select 1 from b where d';", "const a = 'select 1 from b where c = 1';"],
  ],
  ['words in plain text', "const a = 'this and that';", []],
  ['no element of a list that only types read', "const a = { writes: ['b', 'c'] } as const;", []],
  ['nothing of types', 'type A = B extends true ? C : D; let e: [A, B];', []],
];

describe('mutants of a source', () => {
  it.each(table)('%s', (_, source, mutants) => {
    expect(
      mutantsOf(source)
        .map((mutant) => mutated(source, mutant))
        .toSorted(),
    ).toEqual(mutants.toSorted());
  });

  it('a mutant is shown by the lines that it changes', () => {
    const source = 'const a = 1;\nif (\n  b\n)\n  throw a;\nconst c = d && e;\n';
    const changes = mutantsOf(source).map((mutant) => changeOf(source, mutant));
    expect(changes).toEqual([
      { line: 2, lastLine: 5, before: 'if ( b ) throw a;', after: '' },
      { line: 6, lastLine: 6, before: 'const c = d && e;', after: 'const c = e;' },
      { line: 6, lastLine: 6, before: 'const c = d && e;', after: 'const c = d;' },
    ]);
  });
});

describe('all mutants in one source', () => {
  const source = `(a, b) => {
    const seen = [a, ...(b ? [b] : [])];
    if (a > 2 && b !== null) { seen.push('both'); }
    return (a ?? 7) + seen.filter((one) => one || b).join();
  }`;
  const mutants = mutantsOf(source).map((mutant, index) => ({ ...mutant, number: index + 1 }));
  const results = (text: string): readonly string[] =>
    [
      [0, null],
      [2, 0],
      [3, 1],
      [null, 4],
    ].map((values) => {
      // oxlint-disable-next-line typescript/no-implied-eval -- The source is the text above.
      const run = new Function(`return ${text}`)() as (...values: unknown[]) => string;
      return run(...values);
    });
  const withMutant = (number: number): readonly string[] => {
    Object.assign(globalThis, { [SWITCH]: (asked: number) => asked === number });
    return results(withSwitches(source, mutants));
  };

  it('runs as the original while no mutant is chosen', () => {
    expect(withMutant(0)).toEqual(results(source));
  });

  it.each(mutants)('runs as mutant $number, $kind, when that is chosen', ({ number, ...mutant }) => {
    expect(withMutant(number)).toEqual(results(mutated(source, mutant)));
  });
});
