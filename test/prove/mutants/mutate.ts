import { parseAst } from 'vitest/node';
import type { Edit, Mutant } from './edit.ts';
import { isStatement, OTHER_BOUNDARY, sqlEdits } from './sql.ts';

// Source in, mutants out: pure. The kinds are those faults that this code can have and that a test should see: a guard
// that is not there, a condition that is not asked, a statement of a batch that is not sent, a boundary that is one off.

export interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [key: string]: unknown;
}

const words = (text: string): ReadonlySet<string> => new Set(text.split(' '));

/** Methods that only narrow what the value before them lets through, so that the value alone still is of its kind. */
const REFINEMENTS = words(
  'refine superRefine check min max length regex nonempty int positive nonnegative gt gte lt lte multipleOf strict',
);
/** Methods that give back something of the kind that they were called on. */
const STEPS = words('filter where toSorted toReversed toLowerCase toUpperCase normalize trim replace replaceAll slice');
/** What has methods of these names and is neither a schema nor a value. */
const NO_SCHEMAS = new Set(['Math', 'Object', 'Number', 'Promise']);
const OTHER_NAME: Readonly<Record<string, string>> = {
  every: 'some',
  some: 'every',
  lt: 'lte',
  lte: 'lt',
  gt: 'gte',
  gte: 'gt',
  strictObject: 'object',
};
const EQUALITIES = new Set(['===', '!==', 'in', 'instanceof']);
/** A longer list of nothing but literals is a vocabulary: which words are in it is not decided by code. */
const LITERALS_MAX_COUNT = 8;

/**
 * Properties whose lists only types read. `writes` of a transition names the columns that its callers must give, and no
 * others: the compiler refuses a source in which one is missing.
 */
const FOR_TYPES = new Set(['writes']);

const ALWAYS = 'branch taken always';

/** Of nodes whose condition another mutant takes away whole. */
const CONDITIONS: Readonly<Record<string, string>> = {
  IfStatement: 'test',
  ConditionalExpression: 'test',
  WhileStatement: 'test',
  DoWhileStatement: 'test',
  ForStatement: 'test',
};

/** Every mutant of a TypeScript source, in the order of their places. Those that would not parse are left out. */
export const mutantsOf = (source: string): readonly Mutant[] =>
  candidatesOf(source).filter((mutant) => mutant.site.isStatement || parses(mutated(source, mutant)));

/** As `mutantsOf`, with those that would not parse: to parse each of them takes nearly all of the time. */
export function candidatesOf(source: string): readonly Mutant[] {
  const found: Mutant[] = [];
  visit(parse(source), null, (node, parent) => found.push(...mutantsAt(source, node, parent)));
  return found.toSorted((one, other) => one.site.start - other.site.start);
}

export function mutated(source: string, { site, replacement }: Mutant): string {
  return source.slice(0, site.start) + replacement + source.slice(site.end);
}

export function parse(source: string): Node {
  return parseAst(source, { lang: 'ts' }) as unknown as Node;
}

function parses(source: string): boolean {
  try {
    parse(source);
    return true;
  } catch {
    return false;
  }
}

/** Visits what runs: types are left out, and so are annotations of all kinds. */
function visit(node: Node, parent: Node | null, see: (node: Node, parent: Node | null) => void): void {
  see(node, parent);
  for (const [key, value] of Object.entries(node)) {
    if (key === 'typeAnnotation' || key === 'returnType') continue;
    for (const child of Array.isArray(value) ? (value as unknown[]) : [value]) {
      if (isNode(child) && (!child.type.startsWith('TS') || 'expression' in child)) visit(child, node, see);
    }
  }
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value && 'start' in value;
}

function mutantsAt(source: string, node: Node, parent: Node | null): readonly Mutant[] {
  const text = (part: unknown): string => (isNode(part) ? source.slice(part.start, part.end) : '');
  const instead = (kind: string, ...replacements: readonly string[]): readonly Mutant[] =>
    replacements.map((replacement) => ({ kind, replacement, site: siteOf(node) }));
  const gone = (kind: string): readonly Mutant[] => [
    { kind, replacement: '', site: { ...siteOf(node), isStatement: true } },
  ];
  /** Changes inside of the node, in places that are given from the start of the source. */
  const edited = (edits: readonly Edit[]): readonly Mutant[] =>
    edits.flatMap((edit) =>
      instead(edit.kind, source.slice(node.start, edit.start) + edit.text + source.slice(edit.end, node.end)),
    );

  switch (node.type) {
    case 'IfStatement': {
      if (node['alternate'] === null) return gone(leaves(node['consequent']) ? 'guard removed' : 'if removed');
      return ['true', 'false'].map((replacement) => ({ kind: ALWAYS, replacement, site: siteOf(node['test']) }));
    }
    case 'ExpressionStatement':
      return isEffect(node) ? gone('effect removed') : [];
    case 'LogicalExpression':
      // A chain of one operator is one list, which its outermost node has.
      if (
        parent?.type === 'LogicalExpression' &&
        parent['operator'] === node['operator'] &&
        !isInBrackets(source, node)
      )
        return [];
      if (node['operator'] === '??') return instead('fallback dropped', text(node['left']));
      return without(`one side of ${String(node['operator'])} dropped`, operands(source, node));
    case 'ConditionalExpression':
      return instead(ALWAYS, text(node['consequent']), text(node['alternate']));
    case 'BinaryExpression': {
      const { left, right, operator } = node;
      const boundary = OTHER_BOUNDARY[String(operator)];
      if (boundary !== undefined) return instead('boundary moved', `${text(left)} ${boundary} ${text(right)}`);
      return EQUALITIES.has(String(operator)) && standsAlone(node, parent)
        ? instead('comparison decided', 'true', 'false')
        : [];
    }
    case 'ArrayExpression':
      return isVocabulary(node) || isForTypes(parent) ? [] : without('element removed', elements(node, 'elements'));
    case 'ObjectExpression':
      // What a call is told: an option that it must be given, a column of a row.
      return isArgument(node, parent) ? without('property removed', elements(node, 'properties')) : [];
    case 'CallExpression':
      return callMutants();
    case 'TaggedTemplateExpression':
      return isNode(node['tag']) && /^sql\b/.test(text(node['tag'])) && isNode(node['quasi'])
        ? sqlMutants(node['quasi'])
        : [];
    case 'TemplateLiteral':
      return parent?.type !== 'TaggedTemplateExpression' && isStatement(text(node).slice(1)) ? sqlMutants(node) : [];
    case 'Literal':
      if (typeof node['value'] === 'boolean') return instead('boolean turned', String(!node['value']));
      return typeof node['value'] === 'string' && isStatement(node['value']) ? sqlMutants(node) : [];
    default:
      return [];
  }

  function without(kind: string, parts: readonly Node[]): readonly Mutant[] {
    const isList = node.type === 'ArrayExpression' || node.type === 'ObjectExpression';
    if (parts.length < 2 && !isList) return [];
    if (parts.length === 1) return instead(kind, node.type === 'ArrayExpression' ? '[]' : '{}');
    return edited(
      parts.map((part, index) => {
        const next = parts[index + 1];
        const previous = parts[index - 1];
        if (next !== undefined) return { kind, start: part.start, end: next.start, text: '' };
        return { kind, start: previous?.end ?? part.start, end: part.end, text: '' };
      }),
    );
  }

  function callMutants(): readonly Mutant[] {
    const { callee } = node;
    if (!isNode(callee)) return [];
    const isMethod = callee.type === 'MemberExpression' && callee['computed'] === false;
    const nameNode = isMethod ? callee['property'] : callee;
    if (!isNode(nameNode) || nameNode.type !== 'Identifier') return [];
    const name = String(nameNode['name']);
    const mutants: Mutant[] = [];
    const other = OTHER_NAME[name];
    if (other !== undefined && !(isMethod && ['lt', 'lte', 'gt', 'gte'].includes(name))) {
      mutants.push(
        ...edited([{ kind: `${name} made ${other}`, start: nameNode.start, end: nameNode.end, text: other }]),
      );
    }
    if (!isMethod && (name === 'and' || name === 'or')) {
      mutants.push(...without('condition dropped', elements(node, 'arguments')));
    }
    if (isMethod && text(callee['object']) === 'Math' && (name === 'min' || name === 'max')) {
      mutants.push(...without(`one side of Math.${name} dropped`, elements(node, 'arguments')));
    }
    // The rest of an optional chain hangs on the whole of it: nothing can be put around a part.
    if (isMethod && !NO_SCHEMAS.has(text(callee['object'])) && !text(callee).includes('?.')) {
      if (REFINEMENTS.has(name)) mutants.push(...instead('refinement removed', text(callee['object'])));
      if (STEPS.has(name)) mutants.push(...instead(`${name} removed`, text(callee['object'])));
    }
    return mutants;
  }

  function sqlMutants(literal: Node): readonly Mutant[] {
    const start = literal.start + 1;
    let masked = source.slice(start, literal.end - 1);
    for (const expression of elements(literal, 'expressions')) {
      // `${` and `}` too, with whatever space is inside of them.
      const from = source.lastIndexOf('${', expression.start) - start;
      const to = source.indexOf('}', expression.end) + 1 - start;
      masked = masked.slice(0, from) + 'x'.repeat(to - from) + masked.slice(to);
    }
    return edited(
      sqlEdits(masked).map((edit) => ({
        ...edit,
        kind: edit.kind === 'sql' ? 'SQL condition dropped' : 'SQL boundary moved',
        start: edit.start + start,
        end: edit.end + start,
      })),
    );
  }
}

const siteOf = (node: unknown): Mutant['site'] =>
  isNode(node) ? { start: node.start, end: node.end, isStatement: false } : { start: 0, end: 0, isStatement: false };

function elements(node: Node, key: string): readonly Node[] {
  const list = node[key];
  return Array.isArray(list) ? list.filter(isNode) : [];
}

/** The operands of a chain of one operator, from left to right. */
function operands(source: string, node: Node): readonly Node[] {
  const { left, right } = node;
  if (!isNode(left) || !isNode(right)) return [];
  const isSame =
    left.type === 'LogicalExpression' && left['operator'] === node['operator'] && !isInBrackets(source, left);
  const before = isSame ? operands(source, left) : [withBrackets(source, left)];
  return [...before, withBrackets(source, right)];
}

/** The parser leaves brackets out of its nodes. An operand is taken out together with its own. */
function withBrackets(source: string, node: Node): Node {
  let { start, end } = node;
  for (;;) {
    const before = source.slice(0, start).trimEnd();
    const after = source.slice(end).length - source.slice(end).trimStart().length + end;
    if (!before.endsWith('(') || source[after] !== ')' || isCallBracket(before)) return { ...node, start, end };
    start = before.length - 1;
    end = after + 1;
  }
}

const isInBrackets = (source: string, node: Node): boolean => withBrackets(source, node).start !== node.start;
const isCallBracket = (before: string): boolean =>
  /[\w$)\]>]\($/.test(before) && !/\b(?:return|await|in|of|typeof)\($/.test(before);

/** A guard ends with leaving the function, the loop or the round. */
function leaves(consequent: unknown): boolean {
  if (!isNode(consequent)) return false;
  const last = consequent.type === 'BlockStatement' ? elements(consequent, 'body').at(-1) : consequent;
  return last !== undefined && /^(?:Return|Throw|Continue|Break)Statement$/.test(last.type);
}

function isEffect({ expression }: Node): boolean {
  if (!isNode(expression)) return false;
  if (expression.type === 'CallExpression')
    return !(isNode(expression['callee']) && expression['callee'].type === 'Super');
  if (expression.type === 'UnaryExpression')
    return expression['operator'] === 'delete' || expression['operator'] === 'void';
  return /^(?:Await|Assignment|Update|Chain)Expression$/.test(expression.type);
}

function isArgument(node: Node, parent: Node | null): boolean {
  return (
    parent !== null && /^(?:Call|New)Expression$/.test(parent.type) && elements(parent, 'arguments').includes(node)
  );
}

/** Where a condition holds such a comparison, other mutants take it out, or the whole condition. */
function standsAlone(node: Node, parent: Node | null): boolean {
  return parent !== null && parent.type !== 'LogicalExpression' && parent[CONDITIONS[parent.type] ?? ''] !== node;
}

function isForTypes(parent: Node | null): boolean {
  return parent?.type === 'Property' && isNode(parent['key']) && FOR_TYPES.has(String(parent['key']['name']));
}

function isVocabulary(node: Node): boolean {
  const list = elements(node, 'elements');
  return list.length > LITERALS_MAX_COUNT && list.every(({ type }) => type === 'Literal');
}
