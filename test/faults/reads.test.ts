import { TOKENS } from '../support/harness.ts';
import { describeFaults } from './playing.ts';
import {
  path,
  mintOne,
  SNAPSHOTS,
  mintAndList,
  mintPages,
  listPages,
  leaverJwt,
  expectCurrentLabel,
  listLater,
  listsSay,
  missOnce,
  turnUpLate,
} from './scenes.ts';

describeFaults([
  {
    name: 'list under a new label',
    prepare: async (h) => {
      await h.send('GET', TOKENS, { jwt: await leaverJwt(h, 'old') });
      return '';
    },
    run: async (h) => await h.send('GET', TOKENS, { jwt: await leaverJwt(h, 'new') }),
    afterwards: expectCurrentLabel,
  },
  { name: 'list', prepare: mintOne, run: async (h) => await h.send('GET', TOKENS) },
  { name: 'get', prepare: mintOne, run: async (h, id) => await h.send('GET', path(id)) },
  { name: 'list with snapshots', env: SNAPSHOTS, prepare: mintOne, run: async (h) => await h.send('GET', TOKENS) },
  { name: 'list of several pages', env: SNAPSHOTS, prepare: mintPages, run: listPages },
  {
    name: 'get beside a list of several pages',
    prepare: mintPages,
    run: async (h) => await h.send('GET', path('unknown')),
  },
  {
    name: 'list of a held snapshot',
    env: SNAPSHOTS,
    prepare: mintAndList,
    run: async (h) => await h.send('GET', TOKENS),
  },
  {
    name: 'get of a held snapshot',
    env: SNAPSHOTS,
    prepare: mintAndList,
    run: async (h, id) => await h.send('GET', path(id)),
  },
  {
    name: 'list that misses a token once more',
    prepare: async (h) => {
      const id = await missOnce(h);
      await listsSay(h, [], 2);
      return id;
    },
    run: listLater,
  },
  {
    name: 'list that shows a token again',
    prepare: async (h) => {
      const id = await missOnce(h);
      await listsSay(h, []);
      await listLater(h);
      h.age(61);
      await listsSay(h, [id]);
      return id;
    },
    run: listLater,
  },
  {
    name: 'list of an undelivered token',
    prepare: turnUpLate,
    run: listLater,
    // What one list did not get done, the next one does.
    afterwards: async (h) => {
      await listLater(h);
    },
  },
  {
    name: 'list that lacks most tokens',
    prepare: async (h) => {
      for (let made = 0; made < 3; made += 1) await mintOne(h);
      h.age(61);
      await listsSay(h, []);
      return '';
    },
    run: listLater,
  },
]);
