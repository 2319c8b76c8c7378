import { describeFaults } from './playing.ts';
import { leaver, leaverLabel, leaverJwt } from './scenes.ts';

describeFaults([
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
]);
