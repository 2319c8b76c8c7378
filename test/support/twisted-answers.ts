import type { Runtime } from '../../src/kit/runtime.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';

/** What PipeOps was asked. */
export interface Asked {
  readonly method: string;
  readonly url: string;
}

// oxlint-disable-next-line typescript/no-explicit-any -- tests twist bodies of every shape
type Body = any;

const REAL: Runtime['fetch'] = async (url, init) => await workerRuntime.fetch(url, init);

/**
 * A network on which PipeOps does what it is asked, and says something else of it: `twist` gets the JSON of each answer and gives
 * what is answered; a Response stands in for the whole answer.
 */
export const twistedAnswers = (
  twist: (body: Body, asked: Asked) => Body,
  network: Runtime['fetch'] = REAL,
): Pick<Runtime, 'fetch'> => ({
  fetch: async (url, init) => {
    const response = await network(url, init);
    const body: Body = response.status === 204 ? null : await response.json();
    const given: unknown = await twist(body, { method: init.method ?? 'GET', url });
    if (given instanceof Response) return given;
    return Response.json(given, { status: response.status, headers: response.headers });
  },
});

/** The same for the answers to one method: `change` gets the token and gives what is changed in it; undefined: left out. */
export const twistedTokens = (
  method: string,
  change: (token: Body) => Body,
  network: Runtime['fetch'] = REAL,
): Pick<Runtime, 'fetch'> =>
  twistedAnswers((body, asked) => {
    if (asked.method !== method || body?.success !== true) return body;
    const { data } = body;
    const isNested = typeof data?.token === 'object';
    const token = isNested ? data.token : data;
    const changed = { ...token, ...change(token) };
    return { ...body, data: isNested ? { ...data, token: changed } : changed };
  }, network);
