import type { Asker, Leak, Stage } from '../../../commands/demo/steps.ts';
import type { ServiceResponse } from '../../../commands/service.ts';
import { event } from '../audit/trail-server.ts';

/** What was asked of it: by whom, and how. */
export interface AskedOfDemo {
  readonly asker: Asker | 'scanner';
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
}

/** An answer in place of the usual one; undefined: the usual one. */
export type Instead = (asked: AskedOfDemo) => ServiceResponse | undefined;

export interface DemoService {
  readonly answer: (asked: AskedOfDemo) => ServiceResponse;
  readonly asked: readonly AskedOfDemo[];
  /** Ids of tokens that are alive. */
  readonly alive: ReadonlySet<string>;
}

export const answerOf = (status: number, json: unknown, eventId?: string): ServiceResponse => ({
  status,
  headers: new Headers(eventId === undefined ? {} : { 'X-Audit-Event-Id': eventId }),
  text: JSON.stringify(json),
  json,
});

const DELIVERY_ID = 'd1d1d1d1-0000-4000-8000-000000000001';
export const secretOf = (name: string): string => `sat_${name.replaceAll('-', '')}SECRETSECRETSECRET`;

/** The service as the demo knows it, in a Map: what it answers to each call, and the trail that grows with them. */
export function createDemoService(instead: Instead = () => undefined): DemoService {
  const asked: AskedOfDemo[] = [];
  const alive = new Set<string>();
  const idBySecret = new Map<string, string>();
  const trail: unknown[] = [];
  let leaked = '';

  const row = (fields: object): string => {
    const whole = event(trail.length + 1, { token_id: null, ...fields });
    trail.unshift(whole);
    return whole.id;
  };
  const ci = { type: 'service_account', subject: 'local-ci', label: null };
  const scanner = { type: 'webhook', subject: 'scanner', label: null };

  const create = ({ name, scopes }: { readonly name: string; readonly scopes: readonly string[] }): ServiceResponse => {
    const action = 'service_account_token.create';
    if (scopes.includes('api:full')) {
      const id = row({ action, status: 'failure', actor: ci, error_code: 'forbidden' });
      return answerOf(403, { success: false, code: 'forbidden', message: 'No role allows it.' }, id);
    }
    const id = `${name}-0000-4000-8000-000000000001`;
    alive.add(id);
    idBySecret.set(secretOf(name), id);
    return answerOf(201, { data: { id, token: secretOf(name) } }, row({ action, actor: ci, token_id: id }));
  };

  const usual = ({ method, path, body }: AskedOfDemo): ServiceResponse => {
    const [, , , collection, id] = path.split(/[/?]/);
    switch (`${method} ${collection ?? path}`) {
      case 'GET whoami':
        return answerOf(200, {
          data: {
            subject: 'local-ci',
            roles: [
              {
                name: 'ci',
                permissions: ['tokens:create', 'tokens:revoke'],
                tokens: 'own',
                scopes: ['api:read'],
                max_ttl_seconds: 2_592_000,
              },
            ],
          },
        });
      case 'POST service-account-tokens':
        return create(body as Parameters<typeof create>[0]);
      case 'DELETE service-account-tokens':
        alive.delete(id ?? '');
        return answerOf(200, { success: true }, row({ actor: ci, token_id: id }));
      case 'POST /webhooks/scanner':
        leaked = idBySecret.get((body as { data: Leak }).data.token) ?? '';
        alive.delete(leaked);
        return answerOf(202, { data: { delivery_id: DELIVERY_ID } });
      case 'GET webhooks':
        return receipt();
      case 'GET audit':
        return answerOf(200, { data: trail }, 'event-of-the-query');
      default:
        return answerOf(404, { success: false, code: 'not_found', message: 'There is nothing at this path.' });
    }
  };

  const receipt = (): ServiceResponse => {
    const event_id = row({ action: 'webhook.receive', actor: scanner });
    const revocation = {
      event_id: row({ actor: scanner, token_id: leaked }),
      token_id: leaked,
      state: 'confirmed',
      received_at: '2026-11-24T03:34:09.301Z',
      revoked_at: '2026-11-24T03:34:09.313Z',
    };
    return answerOf(200, { data: { event_id, revocations: [revocation] } });
  };

  return {
    answer: (request) => {
      asked.push(request);
      return instead(request) ?? usual(request);
    },
    asked,
    alive,
  };
}

/** The demo's stage on that service, without a network and with a clock that waiting moves. */
export function stageOn({ answer }: DemoService): { readonly stage: Stage; readonly lines: readonly string[] } {
  const lines: string[] = [];
  let nowMs = 0;
  const stage: Stage = {
    ask: async (asker, method, path, body) => await Promise.resolve(answer({ asker, method, path, body })),
    report: async (leak) =>
      await Promise.resolve(
        answer({
          asker: 'scanner',
          method: 'POST',
          path: '/webhooks/scanner',
          body: { type: 'token.leaked', data: leak },
        }),
      ),
    write: (line) => void lines.push(line),
    sleep: async (ms) => {
      nowMs += ms;
      await Promise.resolve();
    },
    now: () => nowMs,
    cells: 100,
  };
  return { stage, lines };
}
