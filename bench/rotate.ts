import { atMost, type Bar } from './bars.ts';
import type { Cost } from './cost.ts';
import { LIST_WORKSPACE, TOKENS_PATH } from './names.ts';
import { createBy, operateOn } from './operations.ts';
import { printTable } from './print.ts';

/** What a rotation costs beside two creates: it mints one token and orders the end of another, and so it may not cost more than two. */
export async function benchRotate(): Promise<readonly Bar[]> {
  const costs = await operateOn(
    async ({ request }) => {
      const rotate = async (operation: string, id: string, overlap: string): Promise<void> => {
        const path = `${TOKENS_PATH}/${id}/rotate?workspace_uuid=${LIST_WORKSPACE}`;
        await request(operation, 'POST', path, { overlap }, { 'Idempotency-Key': crypto.randomUUID() });
      };
      // Whatever an isolate does once is over after the first.
      await createBy(request, FIRST);
      const [one, other] = [await createBy(request, CREATE), await createBy(request, `${CREATE}, another`)];
      await rotate(LATER, one, '24h');
      await rotate(AT_ONCE, other, '0s');
    },
    ['tokens:rotate'],
  );
  const shown = [...costs].filter(([operation]) => operation !== FIRST);
  console.log('What a rotation costs beside two creates, one after the other.');
  printTable(
    'rotate',
    shown.map(([operation, cost]) => ({ operation, ...cost })),
  );
  const sum = (figure: keyof Cost): number =>
    [CREATE, `${CREATE}, another`].reduce((total, operation) => total + (costs.get(operation)?.[figure] ?? NaN), 0);
  return FIGURES.map(([figure, name]) =>
    atMost(`a rotation beside two creates: ${name}`, costs.get(LATER)?.[figure] ?? NaN, sum(figure)),
  );
}

const FIRST = 'create, the first of an isolate';
const CREATE = 'create';
const LATER = 'rotate, with an overlap';
/** What goes on after the answer, the revoke of the old token, is in all. */
const AT_ONCE = 'rotate, at once';

const FIGURES = [
  ['trips', 'D1 round trips'],
  ['statements', 'statements'],
  ['rowsRead', 'rows read'],
  ['rowsWritten', 'rows written'],
  ['pipeopsCalls', 'calls to PipeOps'],
] as const satisfies readonly (readonly [keyof Cost, string])[];
