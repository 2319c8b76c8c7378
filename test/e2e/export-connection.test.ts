import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startWorker } from '../../bench/start-worker.ts';

// What a client sees on the wire. workerd ends an answer of no known length as if it were over, where it broke.

let worker: Awaited<ReturnType<typeof startWorker>>;
beforeAll(async () => {
  worker = await startWorker('test/support/export-worker.ts', {});
});
afterAll(async () => {
  await worker[Symbol.asyncDispose]();
});

/** Everything that comes until the connection breaks. */
async function rawAnswer(query: string): Promise<{ head: string; body: string }> {
  const { hostname, port } = new URL(worker.url);
  const socket = connect(Number(port), hostname);
  socket.write(`GET /?${query} HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`);
  const parts: Buffer[] = [];
  socket.on('data', (part: Buffer) => parts.push(part));
  socket.on('error', () => {});
  await once(socket, 'close');
  const [head = '', ...body] = Buffer.concat(parts).toString('utf8').split('\r\n\r\n');
  return { head, body: body.join('\r\n\r\n') };
}
const lengthOf = (head: string): number => Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? NaN);

describe('an export in CSV on the wire', () => {
  it('is as long as it says', async () => {
    const response = await fetch(`${worker.url}?format=csv`);
    const text = await response.text();
    expect(Buffer.byteLength(text)).toBe(Number(response.headers.get('Content-Length')));
    expect(text.split('\r\n')).toHaveLength(202);
  });

  it.each([4, 5, 6])('is shorter than it says where it broke: read %i', async (fails) => {
    const { head, body } = await rawAnswer(`format=csv&fails=${fails}`);
    expect(head).toMatch(/ 200 /);
    expect(Buffer.byteLength(body)).toBeLessThan(lengthOf(head));
  });

  it.each([4, 6])('is an error to fetch where it broke: read %i', async (fails) => {
    const response = await fetch(`${worker.url}?format=csv&fails=${fails}`);
    await expect(response.text()).rejects.toThrow('terminated');
  });

  it('does not begin where its length cannot be known', async () => {
    expect((await fetch(`${worker.url}?format=csv&fails=2`)).status).toBe(503);
  });
});

it('an export in NDJSON has no last line where it broke', async () => {
  const whole = await (await fetch(`${worker.url}?format=ndjson`)).text();
  expect(whole).toContain('{"complete":true,"count":200,"next":null}');
  const broken = await (await fetch(`${worker.url}?format=ndjson&fails=2`)).text().catch(String);
  expect(broken).not.toContain('"complete"');
});
