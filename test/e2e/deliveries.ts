import * as z from 'zod';
import { jsonOf, type Client } from './client.ts';

/** What became of a webhook: a part of what the service says about it. */
const Delivery = z.object({
  data: z.object({
    id: z.string(),
    sender_id: z.string(),
    revocations: z.array(z.looseObject({ state: z.string(), confirmed_at: z.string().nullable() })),
  }),
});

export const readDelivery = async (admin: Client, deliveryId: string) =>
  Delivery.parse(jsonOf(await admin.send('GET', `/api/v1/webhooks/deliveries/${deliveryId}`))).data;

const Receipt = z.object({ data: z.object({ delivery_id: z.string() }) });

/** The id in the answer to a delivery. */
export const deliveryIdIn = (answer: string): string => Receipt.parse(JSON.parse(answer)).data.delivery_id;
