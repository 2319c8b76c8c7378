import { describeFaults } from './playing.ts';
import { leak, leaveOpen, expectKept } from './scenes.ts';

describeFaults([
  { name: 'webhook leak', prepare: async (h) => (await h.mint()).token, run: leak, revokesAll: true },
  {
    name: 'webhook refused',
    run: async (h) => await h.sendEvent('scanner', 'token.revoke', {}, { id: `msg_${h.workspace}` }),
    afterwards: async (h, _prepared, answer) => await expectKept(h, answer, [400, 'invalid_request']),
  },
  {
    name: 'webhook under a used id',
    prepare: async (h) => {
      await h.sendEvent('scanner', 'token.revoke', { token_id: 'tok-a' }, { id: `msg_${h.workspace}` });
      return '';
    },
    run: async (h) => await h.sendEvent('scanner', 'token.revoke', { token_id: 'tok-b' }, { id: `msg_${h.workspace}` }),
    afterwards: async (h, _prepared, answer) => await expectKept(h, answer, [409, 'id_reused']),
  },
  {
    name: 'webhook retry',
    prepare: leaveOpen,
    run: async (h, id) => await h.send('POST', `/api/v1/webhooks/deliveries/${id}/retry`),
    revokesAll: true,
  },
]);
