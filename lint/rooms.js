import path from 'node:path';

// Which room of src/ may import from which: each only from those before it. What imports types alone is free, since nothing of
// it runs. `npm run check` applies this to every file of src/.

/** From the ground up. A room inside another, or a file that lower rooms need, stands where its own line is. */
const ROOMS = [
  'vocabulary.ts',
  'failures.ts',
  'revocation/orders/states.ts',
  'config/webhook-limits.ts',
  'config/health-limits.ts',
  'config/limits.ts',
  'kit',
  'tlog',
  'db',
  'config',
  'policy',
  'pipeops',
  'subjects',
  'trail',
  'credential',
  'identity',
  'sessions',
  'idempotency',
  'http',
  'sessions/sign-in',
  'inventory',
  'reads',
  'tokens',
  'revocation',
  'subjects/query',
  'trail/log',
  'trail/query',
  'inventory/query',
  'trail/reconcile',
  'aging',
  'health',
];
/** The entrance: it may import all, and is imported by none but itself. */
const ENTRANCE = ROOMS.length;
const SRC = path.join(import.meta.dirname, '..', 'src') + path.sep;

/** The place of a file in the order of the rooms; null for a file outside src/, and for one in a folder that is no room. */
function floorOf(file) {
  if (!file.startsWith(SRC)) return null;
  const place = file.slice(SRC.length).split(path.sep).join('/');
  const rooms = ROOMS.filter((room) => place === room || place.startsWith(`${room}/`));
  if (rooms.length === 0) return place.includes('/') ? null : ENTRANCE;
  // The innermost room counts.
  return ROOMS.indexOf(rooms.reduce((inner, room) => (room.length > inner.length ? room : inner)));
}

const isTypeOnly = (node) =>
  node.importKind === 'type' ||
  node.exportKind === 'type' ||
  (node.specifiers?.length > 0 &&
    node.specifiers.every((specifier) => specifier.importKind === 'type' || specifier.exportKind === 'type'));

const nameOf = (floor) => (floor === ENTRANCE ? 'the entrance' : `src/${ROOMS[floor]}`);

const downwards = {
  create(context) {
    const own = floorOf(context.filename);
    if (own === null) {
      if (!context.filename.startsWith(SRC)) return {};
      const message = 'This folder is no room. Name it in lint/rooms.js, after the rooms that it imports from.';
      return { Program: (node) => context.report({ node, message }) };
    }
    const check = (node) => {
      const specifier = node.source?.value;
      if (typeof specifier !== 'string' || !specifier.startsWith('.') || isTypeOnly(node)) return;
      const other = floorOf(path.resolve(path.dirname(context.filename), specifier));
      if (other === null || other <= own) return;
      context.report({
        node,
        message: `${nameOf(own)} imports from ${nameOf(other)}, which stands above it. Import downwards only: move what is shared into the lower room, or pass it in from src/services.ts.`,
      });
    };
    return { ImportDeclaration: check, ExportNamedDeclaration: check, ExportAllDeclaration: check };
  },
};

export default { meta: { name: 'rooms' }, rules: { downwards } };
