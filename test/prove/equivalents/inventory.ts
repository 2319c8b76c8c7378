import type { AcceptedOf } from './accepted.ts';

/** Survivors of src/inventory that are accepted. */
export const inventory: AcceptedOf = {
  'src/inventory/mac-sweep.ts': [
    [
      '...(adopted.length === 0 ? [] : [giveMacs(database, owners, adopted)]),',
      '...([giveMacs(database, owners, adopted)]),',
      'To give no owner a MAC changes nothing: the condition saves a statement.',
    ],
    [
      '...(noted.length === 0 ? [] : [forget(database, right.map(nameOf))]),',
      '...([forget(database, right.map(nameOf))]),',
      'Where no owner is noted none is forgotten: the condition saves a statement.',
    ],
    [
      "moveOn(database, 'owner', { position: next.length < MAC_SWEEP_TOKENS ? 0 : (next.at(-1)?.place ?? 0), mac: null }),",
      "moveOn(database, 'owner', { position: next.length < MAC_SWEEP_TOKENS ? 0 : (next.at(-1)?.place), mac: null }),",
      'So many rows have a last one: only the compiler needs the fallback.',
    ],
    ['names.length === 0 ? [] : [', '[', 'To note no names changes nothing: the condition saves a statement.'],
    [
      "where a.token_id = t.token_id and a.read_key is null and a.action = 'service_account_token.create' and a.status = 'success'",
      "where a.token_id = t.token_id and a.action = 'service_account_token.create' and a.status = 'success'",
      'No create is counted, so none has a key of reads. It is said all the same, since the index of the life of a token has such rows alone.',
    ],
    [
      'setWhere: sql`position <> ${to.position} or ${macSweeps.mac} is not ${to.mac}`,',
      '',
      'To set a position to what it is changes nothing: the condition saves a written row a minute.',
    ],
  ],
  'src/inventory/owner-macs.ts': [
    [
      'const verified = createBoundedMap<string>({ maxCount: SNAPSHOT_TOKENS_MAX_COUNT });',
      'const verified = createBoundedMap<string>({});',
      'An owner that was dropped is verified anew: the bound keeps memory small, and changes no answer.',
    ],
    [
      'if (row.owner_mac === null) return adoptUntilMs !== null && now() < adoptUntilMs;',
      'if (row.owner_mac === null) return now() < adoptUntilMs;',
      'Null counts as 0, which no time is before: only the compiler asks.',
    ],
    [
      'if (verified.get(row.owner_mac) === text) return true;',
      '',
      'A MAC that was right once is right again for the same text: to remember it saves an HMAC.',
    ],
    [
      'verified.set(row.owner_mac, text);',
      '',
      'A MAC that was right once is right again for the same text: to remember it saves an HMAC.',
    ],
  ],
};
