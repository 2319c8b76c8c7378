import { ISSUER } from '../support/harness.ts';
import { describeFaults } from './playing.ts';
import { expectKept, expectReinstated, leak, leaveOpen, mintOne, offboardNobody, orderOnce } from './scenes.ts';

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
  {
    name: 'revocation by a caller',
    prepare: mintOne,
    run: async (h, id) => await orderOnce(h, 'revocations', { workspace_uuid: h.workspace, token_ids: [id] }),
    revokesAll: true,
  },
  {
    name: 'reinstatement by a caller',
    prepare: offboardNobody,
    run: async (h, subject) => await orderOnce(h, 'reinstatements', { subject: { issuer: ISSUER, subject } }),
    afterwards: expectReinstated,
  },
  {
    name: 'receipt of a revocation',
    prepare: async (h) => {
      const order = { workspace_uuid: h.workspace, token_ids: [await mintOne(h)] };
      return (await orderOnce(h, 'revocations', order)).body.data.id as string;
    },
    run: async (h, id) => await h.send('GET', `/api/v1/revocations/${id}`),
  },
  { name: 'subjects', run: async (h) => await h.send('GET', '/api/v1/subjects?q=a') },
]);
