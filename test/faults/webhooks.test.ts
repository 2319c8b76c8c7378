import { describeFaults } from './playing.ts';
import { loseCreate, leak, leaver, leaverLabel, leaverJwt, leaveOpen, expectKept } from './scenes.ts';

describeFaults([
  { name: 'cron', prepare: loseCreate, run: async (h) => await h.cron() },
  { name: 'webhook leak', prepare: async (h) => (await h.mint()).token, run: leak, revokesAll: true },
  {
    name: 'webhook offboard',
    prepare: async (h) => {
      const jwt = await h.jwtFor('admin', { sub: leaver(h).subject });
      await h.mint('one', jwt);
      await h.mint('two', jwt);
      return '';
    },
    run: async (h) => await h.offboard(leaver(h), { id: `msg_${h.workspace}` }),
    revokesAll: true,
  },
  {
    name: 'webhook offboard by a former label',
    prepare: async (h) => {
      for (const name of ['old', 'new']) await h.mint(name, await leaverJwt(h, name));
      return '';
    },
    run: async (h) => await h.offboard({ label: leaverLabel(h, 'old') }, { id: `msg_${h.workspace}` }),
    revokesAll: true,
  },
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
  { name: 'orders cron', prepare: leaveOpen, run: async (h) => await h.cron(), revokesAll: true },
]);
