import { TOKENS } from '../support/harness.ts';
import { describeFaults } from './playing.ts';
import { leaverJwt, expectCurrentLabel, createWithKey, repeatCreate, createOne } from './scenes.ts';

describeFaults([
  { name: 'create', run: createOne },
  {
    name: 'create with a key',
    prepare: async () => await Promise.resolve(crypto.randomUUID()),
    run: createWithKey,
    afterwards: repeatCreate,
  },
  {
    name: 'repeated create with a key',
    prepare: async (h) => {
      const key = crypto.randomUUID();
      await createWithKey(h, key);
      return key;
    },
    run: createWithKey,
    afterwards: repeatCreate,
  },
  {
    name: 'create under a new label',
    prepare: async (h) => {
      await h.send('GET', TOKENS, { jwt: await leaverJwt(h, 'old') });
      return '';
    },
    run: async (h) => {
      const jwt = await leaverJwt(h, 'new');
      return await h.send('POST', TOKENS, { jwt, body: { name: 'deploy', scopes: ['api:read'] } });
    },
    afterwards: expectCurrentLabel,
  },
  { name: 'create whose answer leaves out', twisted: ['POST', { scopes: null }], run: createOne },
  { name: 'create that contradicts its grant', twisted: ['POST', { scopes: ['*'] }], run: createOne },
]);
