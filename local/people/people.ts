/** Somebody who can sign in at a local run. */
export interface Person {
  /** The `sub` of their ID tokens. */
  readonly subject: string;
  readonly name: string;
  readonly email: string;
  /** The role of the local policy that the claim `role` binds them to. */
  readonly role: 'admin' | 'auditor' | 'developer';
  /** Their role in a word, for the sign-in page. */
  readonly title: string;
  /** What the role may do, in a sentence. */
  readonly may: string;
}

/** The people of a local run. `.test` is reserved (RFC 6761), so that no address is anybody's. */
export const PEOPLE: readonly Person[] = [
  {
    subject: 'ada',
    name: 'Ada Lovelace',
    email: 'ada@example.test',
    role: 'admin',
    title: 'Administrator',
    may: 'Mints, changes and revokes any token, offboards people, and reads the whole trail.',
  },
  {
    subject: 'grace',
    name: 'Grace Hopper',
    email: 'grace@example.test',
    role: 'auditor',
    title: 'Auditor',
    may: 'Reads the whole trail and the state of the service, and changes nothing.',
  },
  {
    subject: 'linus',
    name: 'Linus Pauling',
    email: 'linus@example.test',
    role: 'developer',
    title: 'Developer',
    may: 'Mints tokens for up to 30 days, and sees, changes and revokes only those of his own.',
  },
];

/** The client that the console signs in as. It is public: the browser's code is bound to it by PKCE (RFC 7636). */
export const CONSOLE_CLIENT_ID = 'countersign-console';
