import { admin, callerAs, uniqueName, untilSealed } from './people.ts';

/** The workspace that the simulator stands in for. */
export const WORKSPACE_UUID = '5877a4ae-0000-4000-8000-000000000001';

export const tokenPath = ({ id }: { readonly id: string }): string => `/console/tokens/${WORKSPACE_UUID}/${id}`;

/** One page of each kind, with something on it. */
export interface Places {
  readonly token: string;
  readonly event: string;
  readonly delivery: string;
  readonly revocation: string;
  readonly person: string;
}

let finding: Promise<Places> | null = null;

/** Finds a page of each kind in what `npm run demo` has left, and revokes a set of tokens beside it. */
export const places = async (): Promise<Places> => await (finding ??= find());

async function find(): Promise<Places> {
  const owner = callerAs(uniqueName('old-pipeline'), 'ci');
  const tokens = await Promise.all(
    ['build', 'publish'].map(
      async (name) => await owner.tokens.create({ name, scopes: ['api:read'], expires_in: '7d' }),
    ),
  );
  const [first] = tokens;
  const revocation = await admin.revocations.create({
    workspace_uuid: WORKSPACE_UUID,
    token_ids: tokens.map(({ id }) => id),
    reason: 'INC-7: the runner of these was replaced',
  });
  const [delivery] = (await admin.deliveries.list({ limit: 1 })).items;
  const [denied] = (await admin.audit.events({ code: 'forbidden', latest: true, limit: 1 })).items;
  await untilSealed(denied?.id ?? '');
  const [person] = (await admin.subjects.list({ limit: 1 })).items;
  return {
    token: tokenPath({ id: first?.id ?? '' }),
    event: `/console/activity/${denied?.id ?? ''}`,
    delivery: `/console/webhooks/${delivery?.id ?? ''}`,
    revocation: `/console/revocations/${revocation.id}`,
    person: `/console/people/${encodeURIComponent(`${person?.issuer ?? ''}|${person?.subject ?? ''}`)}`,
  };
}
