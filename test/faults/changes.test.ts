import { describeFaults, type Operation } from './playing.ts';
import {
  path,
  mintOne,
  mintRotatable,
  mintSuspended,
  resume,
  rotate,
  orderSuspended,
  expectDeadOrOpen,
  expectRotatedOnce,
} from './scenes.ts';

describeFaults([
  {
    name: 'suspend',
    prepare: mintOne,
    run: async (h, id) => await h.send('PATCH', path(id), { body: { is_active: false } }),
  },
  { name: 'resume', prepare: mintSuspended, run: resume },
  {
    name: 'update that PipeOps does not obey',
    twisted: ['PATCH', { scopes: ['*'] }],
    prepare: mintOne,
    run: async (h, id) => await h.send('PATCH', path(id), { body: { scopes: ['api:write'] } }),
  },
  {
    name: 'rename',
    prepare: mintOne,
    run: async (h, id) => await h.send('PATCH', path(id), { body: { name: 'renamed' } }),
  },
  {
    name: 'rescope',
    prepare: mintOne,
    run: async (h, id) => await h.send('PATCH', path(id), { body: { scopes: ['api:write'] } }),
  },
  ...(['24h', '0s'] as const).map((overlap): Operation => ({
    name: `rotate with an overlap of ${overlap}`,
    prepare: mintRotatable,
    run: async (h, id) => await rotate(h, id, overlap),
    afterwards: async (h, id, answer) => await expectRotatedOnce(h, id, answer, overlap),
  })),
  { name: 'revoke', prepare: mintOne, run: async (h, id) => await h.send('DELETE', path(id)) },
  {
    name: 'revoke of a token made elsewhere',
    prepare: async (h) => (await h.control.insertToken({ workspace_uuid: h.workspace, name: 'by hand' })).id,
    run: async (h, id) => await h.send('DELETE', path(id)),
  },
  // What these leave open is none of what a cron above meets.
  { name: 'resume that an order overtakes', prepare: orderSuspended, run: resume, afterwards: expectDeadOrOpen },
  {
    name: 'revoke that meets 404',
    prepare: async (h) => {
      const id = await mintOne(h);
      await h.control.fault({ match: { workspace_uuid: h.workspace, method: 'DELETE' }, status: 404, body: {} });
      return id;
    },
    run: async (h, id) => await h.send('DELETE', path(id)),
    afterwards: async (h, _id, answer) => {
      if (answer?.status === 409 || answer?.status === 200) await expectDeadOrOpen(h);
    },
  },
]);
