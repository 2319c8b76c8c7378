import { describeFaults } from './playing.ts';
import {
  loseCreate,
  leaver,
  leaverLabel,
  leaverJwt,
  leaveOpen,
  scheduleRetirement,
  expectRetiredOnce,
} from './scenes.ts';

describeFaults([
  { name: 'cron', prepare: loseCreate, run: async (h) => await h.cron() },
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
  { name: 'orders cron', prepare: leaveOpen, run: async (h) => await h.cron(), revokesAll: true },
  {
    name: 'scheduled orders cron',
    prepare: scheduleRetirement,
    run: async (h) => await h.cron(),
    // The run's lease, the beginning, and the leasing of what has begun.
    calls: 3,
    revokesAll: true,
    afterwards: expectRetiredOnce,
  },
]);
