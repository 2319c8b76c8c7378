import { env } from 'cloudflare:workers';
import { SQLiteAsyncDialect } from 'drizzle-orm/sqlite-core';
import { describe, expect, it } from 'vitest';
import { labelDigest, labelKey, meantByLabel } from '../../src/subjects/labels.ts';

// Whom the label `L` means, by what is known of labels and of tokens. Every row is written as `issuer/subject`.

interface Constellation {
  /** Who was seen with which label, and when it became theirs last. */
  readonly seen?: readonly (readonly [who: string, label: string, at: number])[];
  /** Who minted a token under which label. */
  readonly minted?: readonly (readonly [who: string, label: string])[];
  readonly former?: boolean;
  readonly owner: readonly string[];
  readonly alsoCarried?: readonly string[];
}

const CASES: readonly [string, Constellation][] = [
  ['nobody, where nobody ever had it', { seen: [['i/p', 'M', 1]], minted: [['i/q', 'M']], owner: [] }],
  ['its one holder', { seen: [['i/p', 'L', 1]], owner: ['i/p'] }],
  ['its one holder, known by a token alone', { minted: [['i/p', 'L']], owner: ['i/p'] }],
  [
    'its one holder once, however many tokens were minted under it',
    {
      seen: [['i/p', 'L', 1]],
      minted: [
        ['i/p', 'L'],
        ['i/p', 'L'],
        ['i/p', 'M'],
      ],
      owner: ['i/p'],
    },
  ],
  [
    'two who carry it',
    {
      seen: [
        ['i/p', 'L', 1],
        ['i/q', 'L', 5],
      ],
      owner: ['i/p', 'i/q'],
    },
  ],
  [
    'who came back to it',
    {
      seen: [
        ['i/p', 'M', 4],
        ['i/p', 'L', 5],
      ],
      owner: ['i/p'],
    },
  ],
  [
    'who carries another now, where nobody carries it',
    {
      seen: [
        ['i/p', 'L', 1],
        ['i/p', 'M', 2],
      ],
      owner: ['i/p'],
    },
  ],
  [
    'of two former holders the one who carried it last',
    {
      seen: [
        ['i/p', 'L', 1],
        ['i/p', 'M', 3],
        ['i/q', 'L', 2],
        ['i/q', 'M', 4],
      ],
      owner: ['i/q'],
      alsoCarried: ['i/p'],
    },
  ],
  [
    'of two former holders both, where both carried it last',
    {
      seen: [
        ['i/p', 'L', 2],
        ['i/p', 'M', 3],
        ['i/q', 'L', 2],
        ['i/q', 'M', 4],
      ],
      owner: ['i/p', 'i/q'],
    },
  ],
  [
    'who carried it last and who minted under it, where nobody carries it',
    {
      seen: [
        ['i/p', 'L', 1],
        ['i/p', 'M', 3],
        ['i/q', 'L', 2],
        ['i/q', 'M', 4],
        ['i/r', 'L', 1],
        ['i/r', 'M', 2],
      ],
      minted: [['i/p', 'L']],
      owner: ['i/p', 'i/q'],
      alsoCarried: ['i/r'],
    },
  ],
  [
    'not who carries another now, where somebody else carries it',
    {
      seen: [
        ['i/p', 'L', 1],
        ['i/p', 'M', 2],
        ['i/q', 'L', 3],
      ],
      owner: ['i/q'],
      alsoCarried: ['i/p'],
    },
  ],
  [
    'not even where that one minted under it',
    {
      seen: [
        ['i/p', 'L', 1],
        ['i/p', 'M', 2],
        ['i/q', 'L', 3],
      ],
      minted: [
        ['i/p', 'L'],
        ['i/p', 'M'],
      ],
      owner: ['i/q'],
      alsoCarried: ['i/p'],
    },
  ],
  [
    'not who minted under it before labels were kept, and was seen with another since',
    {
      seen: [
        ['i/p', 'M', 2],
        ['i/q', 'L', 3],
      ],
      minted: [['i/p', 'L']],
      owner: ['i/q'],
      alsoCarried: ['i/p'],
    },
  ],
  [
    'who minted under it before labels were kept, though seen with another since, where nobody carries it',
    {
      seen: [['i/p', 'M', 2]],
      minted: [['i/p', 'L']],
      owner: ['i/p'],
    },
  ],
  [
    'who is known by a token alone, beside who is seen with it',
    {
      seen: [['i/q', 'L', 3]],
      minted: [['i/p', 'L']],
      owner: ['i/p', 'i/q'],
    },
  ],
  [
    'not who carries another now, where one known by a token alone has it',
    {
      seen: [
        ['i/q', 'L', 1],
        ['i/q', 'M', 2],
      ],
      minted: [['i/p', 'L']],
      owner: ['i/p'],
      alsoCarried: ['i/q'],
    },
  ],
  [
    'the same subject of each issuer by itself: one carries it, the other did',
    {
      seen: [
        ['i/p', 'L', 1],
        ['j/p', 'L', 1],
        ['j/p', 'M', 2],
      ],
      owner: ['i/p', 'j/p'],
    },
  ],
  [
    'in each issuer who carries it there, whatever the other says',
    {
      seen: [
        ['i/p', 'L', 1],
        ['i/p', 'M', 2],
        ['i/q', 'L', 3],
        ['j/p', 'L', 9],
        ['j/q', 'L', 1],
        ['j/q', 'M', 2],
      ],
      owner: ['i/q', 'j/p'],
      alsoCarried: ['i/p', 'j/q'],
    },
  ],
  [
    'in each issuer who carried it last there',
    {
      seen: [
        ['i/p', 'L', 1],
        ['i/p', 'M', 2],
        ['j/p', 'L', 8],
        ['j/p', 'M', 9],
      ],
      owner: ['i/p', 'j/p'],
    },
  ],
  [
    'former holders too, where they are asked for',
    {
      seen: [
        ['i/p', 'L', 1],
        ['i/p', 'M', 2],
        ['i/q', 'L', 3],
        ['i/r', 'M', 1],
      ],
      minted: [['i/s', 'L']],
      former: true,
      owner: ['i/p', 'i/q', 'i/s'],
    },
  ],
];

async function play({ seen = [], minted = [], former = false }: Constellation) {
  const unique = crypto.randomUUID();
  const labelOf = (label: string): string => `${label}-${unique}`;
  const whoOf = (who: string): readonly [issuer: string, subject: string] => {
    const [issuer = '', subject = ''] = who.split('/');
    return [`${issuer}-${unique}`, subject];
  };
  await env.DB.batch([
    env.DB.prepare('select 1'),
    ...seen.map(([who, label, at]) =>
      env.DB.prepare('insert into subject_labels values (?, ?, ?, ?, ?)').bind(
        ...whoOf(who),
        labelDigest(labelOf(label)),
        at,
        at,
      ),
    ),
    ...minted.map(([who, label]) =>
      env.DB.prepare(
        'insert into tokens (workspace_uuid, token_id, created_at, owner_issuer, owner_subject, owner_label) values (?, ?, 1, ?, ?, ?)',
      ).bind(unique, crypto.randomUUID(), ...whoOf(who), labelKey(labelOf(label))),
    ),
  ]);
  const query = new SQLiteAsyncDialect().sqlToQuery(meantByLabel(labelKey(labelOf('L')), former));
  const answer = await env.DB.prepare(query.sql)
    .bind(...query.params)
    .all<{ issuer: string; subject: string; found: string }>();
  const named = (wanted: string): readonly string[] =>
    answer.results
      .filter(({ found }) => found === wanted)
      .map(({ issuer, subject }) => `${issuer.replace(`-${unique}`, '')}/${subject}`)
      .toSorted();
  return { owner: named('owner'), alsoCarried: named('also_carried') };
}

describe('a label means', () => {
  it.each(CASES)('%s', async (_case, constellation) => {
    const { owner, alsoCarried = [] } = constellation;
    expect(await play(constellation)).toEqual({ owner, alsoCarried });
  });
});

describe('labels are the same', () => {
  it.each([
    ['whatever their case', 'Ann@ACME.example', 'ann@acme.example'],
    ['composed or not', 'Zoe\u0308', 'ZOË'],
    ['with what is not shown replaced', 'a\u0000b\ud800', 'A\ufffdb\ufffd'],
    ['however long', `${'X'.repeat(500)}é`, `${'x'.repeat(500)}e\u0301`],
  ])('%s', (_case, one, other) => expect(labelKey(one)).toBe(labelKey(other)));

  it('only where they are whole, and their form has an end', () => {
    const start = 'x'.repeat(96);
    expect(labelKey(start)).toBe(start);
    expect(new Set([`${start}a`, `${start}b`, start, `${start}${start}`].map(labelKey)).size).toBe(4);
    expect(labelKey(`${start}a`)).toMatch(/^sha256:[0-9a-f]{64}$/);
  });
});
