import { describe, expect, it } from 'vitest';
import { tokenUrls } from '../../src/pipeops/requests.ts';

const ref = { workspaceUuid: 'ws-1', tokenId: 'tok-1' };

describe('upstream URLs', () => {
  it.each([
    ['https://api.pipeops.io', 'https://api.pipeops.io'],
    ['https://api.pipeops.io/', 'https://api.pipeops.io'],
    ['http://127.0.0.1:8788', 'http://127.0.0.1:8788'],
    ['https://proxy.example/pipeops', 'https://proxy.example/pipeops'],
    ['https://proxy.example/pipe/ops//', 'https://proxy.example/pipe/ops'],
  ])('%s leads to the token routes under %s, the workspace in the query', (apiUrl, base) => {
    const urls = tokenUrls(apiUrl);
    expect(urls.collection('ws-1')).toBe(`${base}/api/v1/service-account-tokens?workspace_uuid=ws-1`);
    expect(urls.token(ref)).toBe(`${base}/api/v1/service-account-tokens/tok-1?workspace_uuid=ws-1`);
  });

  it('keeps dots within an id, which name no other directory', () => {
    expect(new URL(tokenUrls('https://a.example').token({ ...ref, tokenId: 'a..b' })).pathname).toBe(
      '/api/v1/service-account-tokens/a..b',
    );
  });

  it.each(['', '..', '../../admin', 'a/b', 'a%2e', 'a?x=1', 'a#b', 'a&workspace_uuid=b', '\\\\evil.example'])(
    'refuses %j as token id and as workspace',
    (text) => {
      const urls = tokenUrls('https://api.pipeops.io');
      expect(() => urls.token({ ...ref, tokenId: text })).toThrow('Not a token id.');
      expect(() => urls.token({ ...ref, workspaceUuid: text })).toThrow('Not a workspace UUID.');
      expect(() => urls.collection(text)).toThrow('Not a workspace UUID.');
    },
  );

  it.each(['https://user:pw@api.pipeops.io', 'https://api.pipeops.io?x=1', 'https://api.pipeops.io#x'])(
    'refuses %s as the base',
    (apiUrl) => {
      expect(() => tokenUrls(apiUrl)).toThrow('parts beyond origin and path');
    },
  );
});
