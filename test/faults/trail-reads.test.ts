import { describeFaults } from './playing.ts';
import { mintOne, path } from './scenes.ts';

describeFaults([
  { name: 'audit query', run: async (h) => await h.send('GET', '/api/v1/audit/events') },
  {
    name: 'audit event',
    prepare: async (h) => {
      await h.mint();
      return (await h.rows())[0]?.id ?? '';
    },
    run: async (h, id) => await h.send('GET', `/api/v1/audit/events/${id}`),
  },
  { name: 'life of a token', prepare: mintOne, run: async (h, id) => await h.send('GET', `${path(id)}/events`) },
  {
    name: 'life of a token that the inventory lacks',
    prepare: async (h) => (await h.control.insertToken({ workspace_uuid: h.workspace, name: 'by hand' })).id,
    run: async (h, id) => await h.send('GET', `${path(id)}/events`),
  },
  { name: 'audit counts', run: async (h) => await h.send('GET', '/api/v1/audit/counts?by=actor') },
  { name: 'audit export', run: async (h) => await h.send('GET', '/api/v1/audit/export?latest=true') },
]);
