import { describe, expect, it } from 'vitest';
import { create, accepted, JWT, LEAST, MARKER_SHAPED, OTHER_WORKSPACE, refused, SECRET, WORKSPACE } from './parsing.ts';

describe('the three forms of a create body', () => {
  it.each([
    [
      "the CLI's",
      {
        name: 'shop-ci',
        workspace_uuid: WORKSPACE,
        scopes: ['api:read'],
        metadata: { description: 'Deploys' },
        expires_at: '2026-03-31T12:00:00Z',
      },
    ],
    [
      "the Go SDK's",
      {
        name: 'shop-ci',
        description: 'Deploys',
        permissions: ['api:read'],
        expires_at: '2026-03-31T12:00:00Z',
        workspace_uuid: WORKSPACE,
      },
    ],
    ['the documented one', { name: 'shop-ci', description: 'Deploys', scopes: ['api:read'], expires_in: '30d' }],
    ['the one with days', { name: 'shop-ci', description: 'Deploys', permissions: ['api:read'], expires_in: 30 }],
  ])('%s becomes the same request', (_form, body) => {
    expect(accepted(create(body))).toEqual({
      workspaceUuid: WORKSPACE,
      name: 'shop-ci',
      description: 'Deploys',
      scopes: ['api:read'],
      preset: null,
      expiresAt: '2026-03-31T12:00:00.000Z',
    });
  });

  it('takes a preset for scopes, and null for absent', () => {
    const nothing = { description: null, metadata: null, permissions: null, expires_at: null, expires_in: null };
    expect(accepted(create({ name: 'shop-ci', scopes: null, preset: 'sandbox', ...nothing }))).toEqual({
      workspaceUuid: WORKSPACE,
      name: 'shop-ci',
      description: null,
      scopes: null,
      preset: 'sandbox',
      expiresAt: null,
    });
  });

  it.each([
    ['equal scopes and permissions', { scopes: ['a', 'b'], permissions: ['b', 'a', 'a'] }, { scopes: ['a', 'b'] }],
    ['equal descriptions', { description: 'x', metadata: { description: 'x' } }, { description: 'x' }],
    ['an empty description', { description: '' }, { description: '' }],
    ['metadata that says nothing', { metadata: {} }, { description: null }],
    ['a scope named twice', { scopes: ['b', 'a', 'b'] }, { scopes: ['b', 'a'] }],
    ['scopes beside a preset', { preset: 'mcp' }, { scopes: ['api:read'], preset: 'mcp' }],
    ['no scopes beside a preset', { preset: 'mcp', scopes: [] }, { scopes: null, preset: 'mcp' }],
    ['a description of lines', { description: 'one\n\ttwo' }, { description: 'one\n\ttwo' }],
    ['a description with joined emoji', { description: '❤️‍🔥 👩‍👩‍👧' }, { description: '❤️‍🔥 👩‍👩‍👧' }],
    ['a description in Persian', { description: 'می\u200Cخواهم' }, { description: 'می\u200Cخواهم' }],
    ['an empty expiry', { expires_at: '', expires_in: '' }, { expiresAt: null }],
  ])('accepts %s', (_case, fields, expected) => {
    expect(accepted(create({ ...LEAST, ...fields }))).toMatchObject(expected);
  });
});

/** Control characters, separators, and characters of every kind that nobody sees. */
const UNSEEN = [
  '\u0000',
  '\n',
  '\t',
  '\u001B',
  '\u007F',
  '\u0085',
  '\u2028',
  '\u2029',
  // Marks that reorder text.
  '\u202E',
  '\u2066',
  '\u200E',
  '\u200F',
  '\u061C',
  // Of no width: a space, joiners, a word joiner, a byte order mark, a soft hyphen, invisible operators.
  '\u200B',
  '\u200C',
  '\u200D',
  '\u2060',
  '\uFEFF',
  '\u00AD',
  '\u2061',
  '\u2064',
  '\u034F',
  '\u180E',
  // Fillers of Hangul and Khmer, and the empty Braille cell.
  '\u115F',
  '\u1160',
  '\u3164',
  '\uFFA0',
  '\u17B4',
  '\u17B5',
  '\u2800',
  // Variation selectors, of Mongolian and supplementary ones too.
  '\uFE00',
  '\uFE0F',
  '\u180B',
  '\u{E0100}',
  '\u{E01EF}',
  // Tags, deprecated and reserved format characters, annotation anchors, musical beams.
  '\u{E0001}',
  '\u{E0041}',
  '\u{E0FFF}',
  '\u206A',
  '\uFFF0',
  '\uFFF9',
  '\u{1D173}',
  '\u{1BCA0}',
];

describe('names', () => {
  it.each([
    ['as long as allowed', 'n'.repeat(96)],
    ['as long as allowed in two-byte characters', 'é'.repeat(48)],
    ['with spaces inside', 'the shop  ci'],
    ['beyond ASCII', 'Prüfung 🔑'],
    ['with the public prefix of a secret', 'replaces sat_xxxxxxx'],
    ['one character short of a marker', `shop${MARKER_SHAPED.slice(0, -1)}`],
    ['in a script of its own', 'магазин 店舗 가게 दुकान'],
    ['with an accent of its own', 'Cafe\u0301'],
  ])('%s: accepted as it is', (_case, name) => {
    expect(accepted(create({ ...LEAST, name })).name).toBe(name);
  });

  it.each<[string, unknown, unknown]>([
    ['missing', undefined, 'Give the token a name.'],
    ['null', null, 'Give the token a name.'],
    ['empty', '', 'Give the token a name.'],
    ['a number', 7, 'Use text.'],
    ['a list', ['shop'], 'Use text.'],
    ['one byte too long', 'n'.repeat(97), 'Use at most 96 bytes of UTF-8.'],
    ['too long in bytes alone', 'é'.repeat(49), 'Use at most 96 bytes of UTF-8.'],
    ['led by a space', ' shop', 'Leave out the spaces at the beginning and the end.'],
    ['ended by a no-break space', 'shop\u00A0', 'Leave out the spaces at the beginning and the end.'],
    ...UNSEEN.map((unseen): [string, string, string] => [
      `with U+${unseen.codePointAt(0)!.toString(16)}`,
      `sh${unseen}op`,
      'Leave out control characters, line breaks, direction marks and what nobody sees, such as zero-width spaces.',
    ]),
    ['that only looks like spaces', '\u3164', expect.stringContaining('what nobody sees')],
    ['with a flag made of tags', '🏴\u{E0067}\u{E0062}\u{E007F}', expect.stringContaining('what nobody sees')],
    ['with a lone surrogate', 'shop\uD83D', 'Use well-formed Unicode, without lone surrogates.'],
    ['with a secret', `for ${SECRET}`, 'Leave out what looks like a token or a JWT: this text is stored.'],
    ['with a JWT', JWT, 'Leave out what looks like a token or a JWT: this text is stored.'],
    ['ending like a marker', `shop${MARKER_SHAPED}`, expect.stringContaining('this service adds it')],
    ['with a marker inside', `a${MARKER_SHAPED.toUpperCase()}b`, expect.stringContaining('this service adds it')],
  ])('%s: 422', (_case, name, message) => {
    expect(refused(create({ ...LEAST, name }), 'validation_failed')).toEqual({ name: [message] });
  });
});

describe('values that are not acceptable: 422', () => {
  it.each([
    ['a description too long', { description: 'd'.repeat(513) }, ['description']],
    ['a description with a carriage return', { description: 'a\r\nb' }, ['description']],
    ['a description with a direction mark', { description: 'a\u202Eb' }, ['description']],
    ['a description with a secret', { metadata: { description: SECRET } }, ['metadata.description']],
    ['a description with a secret that is hidden', { description: SECRET.replace('_', '_\u200D') }, ['description']],
    ['a description with a zero-width space', { description: 'a\u200Bb' }, ['description']],
    ['a description with a byte order mark', { description: '\uFEFFa' }, ['description']],
    ['a description with a filler', { description: 'a\u3164' }, ['description']],
    ['a description with text in tags', { description: 'a\u{E0068}\u{E0069}' }, ['description']],
    ['a description with text in variation selectors', { description: 'a\u{E0100}\u{E0101}' }, ['description']],
    ['a description with text in joiners', { description: 'a\u200C\u200D\u200C' }, ['description']],
    ['a description like a marker', { description: MARKER_SHAPED }, ['description']],
    ['a description that is no text', { metadata: { description: {} } }, ['metadata.description']],
    ['two descriptions', { description: 'a', metadata: { description: 'b' } }, ['description', 'metadata.description']],
    ['metadata that is no object', { metadata: ['description'] }, ['metadata']],
    ['scopes and permissions that differ', { permissions: ['api:write'] }, ['scopes', 'permissions']],
    ['permissions that are fewer', { scopes: ['a', 'b'], permissions: ['a'] }, ['scopes', 'permissions']],
    ['neither scopes nor a preset', { scopes: null }, ['scopes']],
    ['empty scopes', { scopes: [] }, ['scopes']],
    ['scopes that are no list', { scopes: 'api:read' }, ['scopes']],
    ['scopes beyond their number', { scopes: Array.from({ length: 17 }, (_, n) => `s${n}`) }, ['scopes']],
    ['a scope too long', { scopes: ['s'.repeat(41)] }, ['scopes']],
    ['a scope in capitals', { scopes: ['API:read'] }, ['scopes']],
    ['a scope with an empty part', { scopes: ['api::read'] }, ['scopes']],
    ['a scope with a space', { scopes: ['api:read api:write'] }, ['scopes']],
    ['a scope with a line break', { scopes: ['api:read\n'] }, ['scopes']],
    ['the scope of everything', { scopes: ['*'] }, ['scopes']],
    ['a scope like a secret', { scopes: ['sat_abcdefghijkl'] }, ['scopes']],
    ['a scope like a marker', { scopes: [`api${MARKER_SHAPED}`] }, ['scopes']],
    ['a preset with a slash', { preset: 'a/b' }, ['preset']],
    ['an empty preset', { preset: '' }, ['preset']],
    ['a preset too long', { preset: 'p'.repeat(41) }, ['preset']],
    ['a preset like a secret', { preset: 'sat_abcdefghijkl' }, ['preset']],
    ['a workspace that is no text', { workspace_uuid: 7 }, ['workspace_uuid']],
  ])('%s', (_case, fields, named) => {
    expect(Object.keys(refused(create({ ...LEAST, ...fields }), 'validation_failed'))).toEqual(named);
  });

  it('tells which scope of a list it means', () => {
    expect(refused(create({ ...LEAST, scopes: ['api:read', 7] }), 'validation_failed')).toEqual({
      scopes: ['Number 2: Use text.'],
    });
  });

  it('tells of the missing scopes what would do', () => {
    expect(refused(create({ name: 'shop-ci' }), 'validation_failed')).toEqual({
      scopes: ['Name at least one scope or a preset.'],
    });
  });
});

describe('bodies that are not understood: 400', () => {
  it.each([
    ['a field of no form', { ...LEAST, admin: true }, 'admin'],
    ['a field of an answer', { ...LEAST, is_active: false }, 'is_active'],
    ['a field of another letter case', { ...LEAST, Scopes: ['a'] }, 'Scopes'],
    ['an unknown field that is null', { ...LEAST, owner: null }, 'owner'],
    ['an unknown field of metadata', { ...LEAST, metadata: { team: 'x' } }, 'metadata.team'],
    ['__proto__', '{"name":"a","scopes":["b"],"__proto__":{"preset":"sandbox"}}', '__proto__'],
    ['__proto__ in metadata', '{"name":"a","scopes":["b"],"metadata":{"__proto__":{}}}', 'metadata.__proto__'],
    ['constructor', { ...LEAST, constructor: { prototype: {} } }, 'constructor'],
    ['prototype', { ...LEAST, prototype: {} }, 'prototype'],
    ['a workspace in the shape of a path', { ...LEAST, workspace_uuid: '../x' }, 'workspace_uuid'],
    ['an empty workspace', { ...LEAST, workspace_uuid: '' }, 'workspace_uuid'],
  ])('%s', (_case, body, named) => {
    const errors = refused(create(body), 'invalid_request');
    expect(Object.keys(errors)).toEqual([named]);
    expect(Object.hasOwn({}, 'preset')).toBe(false);
  });

  it('repeats no name that could be a secret, and names no more than sixteen', () => {
    const names = [SECRET, JWT, 'two words', 'n'.repeat(41), ...Array.from({ length: 30 }, (_, n) => `field_${n}`)];
    const errors = refused(
      create({ ...LEAST, ...Object.fromEntries(names.map((name) => [name, 1])) }),
      'invalid_request',
    );
    expect(Object.keys(errors)).toEqual([...names.slice(4, 20), 'body']);
  });
});

it('reports all problems at once, as 400 if one of them is', () => {
  const body = { name: ' ', description: 7, scopes: ['A'], expires_in: 'soon' };
  const named = ['name', 'description', 'scopes', 'expires_in'];
  expect(Object.keys(refused(create(body), 'validation_failed'))).toEqual(named);
  const errors = refused(create({ ...body, extra: 1 }, { query: 'page=2' }), 'invalid_request');
  expect(Object.keys(errors).toSorted()).toEqual([...named, 'extra', 'page'].toSorted());
});

it('judges together what is in order although another field is not', () => {
  const body = { ...LEAST, name: '', permissions: ['other'], workspace_uuid: OTHER_WORKSPACE };
  const errors = refused(create(body, { query: `workspace_uuid=${WORKSPACE}` }), 'invalid_request');
  expect(Object.keys(errors).toSorted()).toEqual(['name', 'permissions', 'scopes', 'workspace_uuid']);
});
