import { expect, it } from 'vitest';
import { startTestSimulator } from '../pipeops-simulator/harness.ts';
import { LIES_OF_A_MOMENT, startLies } from './random-lies.ts';

const { control, visit } = await startTestSimulator({ limits: false });

it.each(LIES_OF_A_MOMENT.map((lie) => [lie()] as const))('the simulator can pretend %j', async (behaviour) => {
  await expect(control.behave(visit().workspace, behaviour)).resolves.toBeUndefined();
});

it('the truth comes back with the end of the lies', async () => {
  const visitor = visit();
  await visitor.mint();
  const lies = startLies(control, () => [visitor.workspace]);
  await lies.stop();
  expect((await visitor.send('GET')).body.data).toMatchObject({ tokens: [{ name: 'deploy' }], total: 1 });
});
