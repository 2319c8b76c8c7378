import type { Actor } from '../../trail/events.ts';

/** A source of webhooks as the trail names it. */
export const sourceActor = (name: string): Actor => ({ type: 'webhook', issuer: null, subject: name, label: null });
