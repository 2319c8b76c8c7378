import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { assertPortIsFree, LOOPBACK } from '../../local/ports.ts';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

async function takenPort(): Promise<{ readonly port: number; readonly release: () => void }> {
  const server = createServer();
  servers.push(server);
  await once(server.listen(0, LOOPBACK), 'listening');
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('no address');
  return { port: address.port, release: () => server.close() };
}

describe('a port', () => {
  it('that somebody holds is one line that names the variable and another port', async () => {
    const { port } = await takenPort();
    await expect(assertPortIsFree(port, 'PORT')).rejects.toThrow(
      new RegExp(`^Port ${port} is already taken\\. Choose another, e\\.g\\. PORT=\\d+\\.$`),
    );
  });

  it('that a killed run still holds for a moment is waited for', async () => {
    const { port, release } = await takenPort();
    const free = assertPortIsFree(port, 'PORT');
    release();
    await expect(free).resolves.toBeUndefined();
  });

  it('that is free is left free', async () => {
    const { port, release } = await takenPort();
    release();
    await assertPortIsFree(port, 'PORT');
    await expect(assertPortIsFree(port, 'PORT')).resolves.toBeUndefined();
  });
});
