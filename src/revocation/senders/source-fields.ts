import * as z from 'zod';
import { workspaceList } from '../../config/fields.ts';
import { WEBHOOK_EVENTS } from '../../vocabulary.ts';

/**
 * What an entry of `webhooks` is configured with: that of its kind, and what every source needs. All of it is required:
 * a source may do nothing that it is not given.
 */
export const sourceFields = <Shape extends z.core.$ZodShape>(shape: Shape) =>
  z.strictObject({
    ...shape,
    /** The events that it may send; any other is recorded and does nothing. */
    events: z.array(z.enum(WEBHOOK_EVENTS)).min(1, { error: 'is empty: such a source may say nothing' }),
    /** Where its orders count: UUIDs, or `['*']`. */
    workspaces: workspaceList,
  });
