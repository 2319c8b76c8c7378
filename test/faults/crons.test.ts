import { describeFaults } from './playing.ts';
import { expectRetiredOnce, leaveOpen, loseCreate, scheduleRetirement } from './scenes.ts';

describeFaults([
  { name: 'cron', prepare: loseCreate, run: async (h) => await h.cron() },
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
