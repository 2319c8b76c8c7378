import { describe, expect, test } from 'vitest';
import {
  filterOf,
  inventoryQueryOf,
  QUICK_NAMES,
  searchOf,
  type TokenFilter,
} from '../../console/views/tokens/filter.ts';
import { holdsSecret } from '../../console/parts/secrets.ts';
import { formatSearch, parseSearch } from '../../console/views/tokens/search-text.ts';

const NOW_MS = Date.parse('2026-11-28T12:00:00.000Z');
const ANY: TokenFilter = { show: 'all', owner: null, terms: {}, order: 'newest' };
const LIVE = ['active', 'suspended', 'retiring'];

describe('the filter of the inventory', () => {
  test('is read back from its address, whichever quick filter it has', () => {
    for (const show of QUICK_NAMES) {
      const filter: TokenFilter = {
        show,
        owner: 'https://issuer.example|a b&c',
        terms: { token_name: 'nightly sync', scope: 'api:read', label: 'kim+x@acme.example' },
        order: 'expiry',
      };
      expect(filterOf(new URLSearchParams(searchOf(filter))), show).toEqual(filter);
    }
  });

  test('shows active tokens where the address has none, and ignores what it does not know', () => {
    expect(searchOf({ ...ANY, show: 'active' })).toBe('');
    const filter = filterOf(new URLSearchParams('?show=toString&owner=&role=&sort=size&nonsense=1'));
    expect(filter).toEqual({ ...ANY, show: 'active' });
  });

  test.each([
    ['active', { state: ['active'] }],
    ['suspended', { state: ['suspended'] }],
    ['retiring', { state: ['retiring'] }],
    ['unused', { state: LIVE, usage: 'unused' }],
    ['never-used', { state: LIVE, usage: 'never_used' }],
    ['all', {}],
    ['expiring-7d', { state: LIVE, expires_from: '2026-11-28T12:00:00.000Z', expires_to: '2026-12-05T12:00:00.000Z' }],
    ['expiring-30d', { state: LIVE, expires_from: '2026-11-28T12:00:00.000Z', expires_to: '2026-12-28T12:00:00.000Z' }],
  ] as const)('asks the API for %s', (show, query) => {
    expect(inventoryQueryOf({ ...ANY, show }, NOW_MS)).toEqual(query);
  });

  test('asks for an order by expiry with a bound of the expiry, since the API knows no other way', () => {
    expect(inventoryQueryOf({ ...ANY, order: 'expiry' }, NOW_MS)).toEqual({ expires_from: '1970-01-01T00:00:00.000Z' });
    const active: TokenFilter = { ...ANY, show: 'active', owner: 'me', order: 'expiry' };
    expect(inventoryQueryOf(active, NOW_MS)).toEqual({
      owner: 'me',
      state: ['active'],
      expires_from: '2026-11-28T12:00:00.000Z',
    });
  });
});

describe('the search field', () => {
  test.each([
    ['deploy', { token_name: 'deploy' }, null],
    ['  nightly   sync ', { token_name: 'nightly sync' }, null],
    ['"nightly  sync"', { token_name: 'nightly  sync' }, null],
    ['sat_mh4J3Fj', { token_prefix: 'sat_mh4J3Fj' }, null],
    ['8a36570a-d2b2-40b4-9730-fe8bd057ea99', { token_id: '8a36570a-d2b2-40b4-9730-fe8bd057ea99' }, null],
    ['api:read', { scope: 'api:read' }, null],
    ['scope:api:read role:ci', { scope: 'api:read', role: 'ci' }, null],
    ['kim@acme.example', { label: 'kim@acme.example' }, null],
    ['owner:acme/shop', { label: 'acme/shop' }, null],
    ['owner:me', {}, 'me'],
    ['owner:none', {}, 'none'],
    ['owner:https://issuer.example|kim', {}, 'https://issuer.example|kim'],
    ['owner:local-ci', {}, 'https://local.test|local-ci'],
    ['name:sat_x', { token_name: 'sat_x' }, null],
    ['name:"a \\"b\\" \\\\ c"', { token_name: 'a "b" \\ c' }, null],
    ['Release:Bot', { token_name: 'Release:Bot' }, null],
    ['', {}, null],
  ])('reads %j', (text, terms, owner) => {
    expect(parseSearch(text, [{ issuer: 'https://local.test', subject: 'local-ci' }])).toEqual({ terms, owner });
  });

  test('reads back what it writes, quotes and spaces too', () => {
    const terms = { token_name: 'a "b" \\ c:d', label: 'Kim Doe', role: 'ci', scope: 'api:read', token_id: 'x' };
    const owner = 'https://issuer.example|kim doe';
    expect(parseSearch(formatSearch({ owner, terms }))).toEqual({ owner, terms });
  });

  test.each([
    ['sat_mh4J3FjLXIdd2RgxKCy86y', true],
    ['name:sat_mh4J3FjLXIdd2RgxKCy86y', true],
    ['eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln', true],
    ['sat_mh4J3Fj', false],
    ['deploy owner:kim@acme.example scope:api:read', false],
  ])('tells whether %j holds a secret', (text, isSecret) => {
    expect(holdsSecret(text)).toBe(isSecret);
  });
});
