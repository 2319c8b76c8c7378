import * as z from 'zod';
import { sourceSchema, type Source } from '../revocation/senders/kinds.ts';
import { dictionary } from './fields.ts';

/** The last part of a path. Starts with a letter: JavaScript moves keys that look like numbers to the front. */
const sourceName = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,39}$/, { error: 'is not a name: a small letter, then up to 39 of them, digits or -' });

/** A leaver leaves everything: whoever speaks for one workspace must not lock somebody out of the others. */
const source = sourceSchema.refine(
  ({ events, workspaces }) => workspaces.includes('*') || !events.some((event) => event.startsWith('subject.')),
  {
    path: ['workspaces'],
    error: 'is narrower than its events: those about subjects count everywhere',
    params: { example: "workspaces: ['*'], or a source of its own for the events about subjects" },
  },
);

/** `webhooks`: from an object, in file order. */
export const webhooksSchema = dictionary(sourceName, source).transform((sources) =>
  Object.entries(sources).map(([name, entry]): Source => ({ ...entry, name })),
);
