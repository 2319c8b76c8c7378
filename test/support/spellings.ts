/** A UUID in several of its spellings, as issuers, consoles and libraries write it. Those of earlier versions' rows come first. */
export const spellingsOf = (uuid: string): Readonly<Record<string, string>> => ({
  ...storedSpellingsOf(uuid),
  ...wrappedSpellingsOf(uuid),
});

/** Those that were an id before there was one spelling: a row may have each of them. */
export const storedSpellingsOf = (uuid: string): Readonly<Record<string, string>> => ({
  'in capitals': uuid.toUpperCase(),
  'in mixed case': `${uuid.slice(0, 18).toUpperCase()}${uuid.slice(18)}`,
  'without hyphens': uuid.replaceAll('-', ''),
  'in capitals without hyphens': uuid.replaceAll('-', '').toUpperCase(),
  'without one hyphen': uuid.replace('-', ''),
  'with a hyphen in an odd place': `${uuid.slice(0, 4)}-${uuid.slice(4)}`,
});

const wrappedSpellingsOf = (uuid: string): Readonly<Record<string, string>> => ({
  'as a URN': `urn:uuid:${uuid}`,
  'in braces': `{${uuid.toUpperCase()}}`,
});

/** A UUID that capitals change. */
export const newWorkspace = (): string => `ab${crypto.randomUUID().slice(2)}`;
