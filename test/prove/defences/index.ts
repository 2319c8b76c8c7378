import type { Defence } from '../defence.ts';
import { promiseDefences } from './promises.ts';
import { triggerDefences } from './triggers.ts';

/** What is removed by hand, since no generated mutant does: a test must notice each removal. */
export const defences: readonly Defence[] = [...promiseDefences, ...triggerDefences];
