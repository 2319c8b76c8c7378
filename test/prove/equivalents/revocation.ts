import type { AcceptedOf } from './accepted.ts';

/** Survivors of src/revocation that are accepted. */
export const revocation: AcceptedOf = {
  'src/revocation/orders/confirm.ts': [
    [
      "const eventId = group[0]?.id ?? '';",
      'const eventId = group[0]?.id;',
      'A group has an order: only the compiler needs the fallback.',
    ],
    [
      'const sinceMs = Math.max(...group.map((order) => order.acknowledged_at ?? 0));',
      'const sinceMs = Math.max(...group.map((order) => order.acknowledged_at));',
      'Null is 0 to Math.max: only the compiler needs the fallback.',
    ],
  ],
  'src/revocation/orders/driver.ts': [
    [
      'return { urgent: { due: orders.length, ended }, work: work ?? NO_WORK };',
      'return { urgent: { due: orders.length, ended }, work: work };',
      'D1 answers every question of a batch with a row: only the compiler needs the fallback.',
    ],
    [
      "const look = await run.lists.unknown(workspaceUuid, group[0]?.id ?? '', sinceMs);",
      'const look = await run.lists.unknown(workspaceUuid, group[0]?.id, sinceMs);',
      'A group has an order: only the compiler needs the fallback.',
    ],
    [
      "const look = await run.lists.since(workspaceUuid, group[0]?.id ?? '', sinceMs);",
      'const look = await run.lists.since(workspaceUuid, group[0]?.id, sinceMs);',
      'A group has an order: only the compiler needs the fallback.',
    ],
    [
      'move === null ? [] : [{ order, move }];',
      '[{ order, move }];',
      'What came of asking for a list settles each order, unless it is a list: only the compiler asks.',
    ],
    [
      'while (left.length > 0 && maySend()) {',
      'while (maySend()) {',
      'Where nothing is left the loop finds no order and ends there.',
    ],
    [
      'while (left.length > 0 && maySend()) {',
      'while (left.length >= 0 && maySend()) {',
      'Where nothing is left the loop finds no order and ends there.',
    ],
    ['if (order === undefined) break;', '', 'The loop runs while orders are left: only the compiler asks.'],
    [
      'await database.batch(context, [...(ids.length > 0 ? [releaseOrders(database, lease, ids, nowMs)] : []), ...news]);',
      'await database.batch(context, [...([releaseOrders(database, lease, ids, nowMs)]), ...news]);',
      'A release of no orders changes nothing: the condition saves a statement.',
    ],
    [
      'await database.batch(context, [...(ids.length > 0 ? [releaseOrders(database, lease, ids, nowMs)] : []), ...news]);',
      'await database.batch(context, [...(ids.length >= 0 ? [releaseOrders(database, lease, ids, nowMs)] : []), ...news]);',
      'A release of no orders changes nothing: the condition saves a statement.',
    ],
  ],
  'src/revocation/orders/rules.ts': [
    [
      'const nextAtMs = Math.max(...moved.map(({ move }) => move.columns.next_at ?? 0));',
      'const nextAtMs = Math.max(...moved.map(({ move }) => move.columns.next_at));',
      'Math.max takes null for 0: only the compiler needs the fallback.',
    ],
    [
      'if (begunAtMs - (order.acknowledged_at ?? 0) < CONTRADICTION_AFTER_MS) {',
      'if (begunAtMs - (order.acknowledged_at) < CONTRADICTION_AFTER_MS) {',
      'A subtraction takes null for 0: only the compiler needs the fallback.',
    ],
    [
      'tries: order.tries,',
      '',
      'A transition keeps the columns that it is not given: only the compiler wants each of them.',
    ],
    [
      'unseen_at: order.unseen_at,',
      '',
      'A transition keeps the columns that it is not given: only the compiler wants each of them.',
    ],
    [
      'const sinceMs = acknowledgedAtMs ?? 0;',
      'const sinceMs = acknowledgedAtMs;',
      'An addition takes null for 0: only the compiler needs the fallback.',
    ],
    [
      'if (updatedUntilMs === null || begunAtMs >= updatedUntilMs + CONFIRM_AFTER_UPDATE_MS) return null;',
      'if (begunAtMs >= updatedUntilMs + CONFIRM_AFTER_UPDATE_MS) return null;',
      'Null counts as 0, and every look begins later than that: only the compiler asks.',
    ],
    [
      "return move('lookOn', order, { ...next, error_code: order.error_code, tries: triesAfterSuccess(order) });",
      "return move('lookOn', order, { ...next, tries: triesAfterSuccess(order) });",
      'A transition keeps the columns that it is not given: only the compiler wants each of them.',
    ],
  ],
  'src/revocation/orders/run.ts': [
    [
      'asked.set(workspaceUuid, { look, begunAtMs, isOutdated: false });',
      'asked.set(workspaceUuid, { look, begunAtMs });',
      'What is undefined is not outdated: only the compiler needs it.',
    ],
  ],
  'src/revocation/orders/sending.ts': [
    [
      "return afterFailure(order, { kind: 'upstream_disobeyed', status, detail: {} }, moment());",
      "return afterFailure(order, { kind: 'upstream_disobeyed', detail: {} }, moment());",
      'The rules ask a failure for its kind alone: only the compiler needs the rest.',
    ],
    [
      "return afterFailure(order, { kind: 'upstream_disobeyed', status, detail: {} }, moment());",
      "return afterFailure(order, { kind: 'upstream_disobeyed', status }, moment());",
      'The rules ask a failure for its kind alone: only the compiler needs the rest.',
    ],
    [
      "return afterFailure(order, { kind: 'upstream_invalid_response', status: got.value.status }, moment());",
      "return afterFailure(order, { kind: 'upstream_invalid_response' }, moment());",
      'The rules ask a failure for its kind alone: only the compiler needs the rest.',
    ],
  ],
  'src/revocation/orders/states.ts': [
    [
      'return { ...order, ...columns, state: leads[order.state] ?? order.state };',
      'return { ...order, ...columns, state: leads[order.state] };',
      'The type of the order admits only states that the transition leaves.',
    ],
    [
      'const reached = before(name).flatMap((state) => (leads[state] === state ? [] : [leads[state] ?? state]));',
      'const reached = before(name).flatMap((state) => (leads[state] === state ? [] : [leads[state]]));',
      'The states are the keys of this very record.',
    ],
    [
      "return only !== undefined && others.length === 0 ? sql`state = ${literal(only)}` : isIn('state', before(name));",
      "return others.length === 0 ? sql`state = ${literal(only)}` : isIn('state', before(name));",
      'Every transition leaves a state.',
    ],
  ],
};
