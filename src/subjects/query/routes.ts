import type { Hono } from 'hono';
import { base64url } from 'jose';
import * as z from 'zod';
import { ACTOR_SUBJECT_MAX_BYTES } from '../../config/limits.ts';
import {
  SUBJECT_PLACE_DETAIL_MAX_BYTES,
  SUBJECTS_PAGE_DEFAULT_ROWS,
  SUBJECTS_PAGE_MAX_ROWS,
} from '../../config/subject-limits.ts';
import type { Database } from '../../db/database.ts';
import type { RequestFailure } from '../../failures.ts';
import { authorise } from '../../http/access.ts';
import { failure, methodNotAllowed, page } from '../../http/answer.ts';
import type { AppEnv } from '../../http/context.ts';
import { limitUpTo, matching, oneOf, type ParseParameter, readParameter, refuseUnknown } from '../../http/query.ts';
import { byteLength, cutToBytes } from '../../kit/bytes.ts';
import { parseJson } from '../../kit/json.ts';
import { createProblems } from '../../kit/problems.ts';
import { containsSecret } from '../../kit/redaction.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import type { Runtime } from '../../kit/runtime.ts';
import { actorOf, eventSubject } from '../../trail/event.ts';
import type { Recorder } from '../../trail/recorder.ts';
import { FIRST, readPage, selectSubjects, type SubjectFilter, type SubjectKey } from './page.ts';

const SUBJECTS = '/api/v1/subjects';

/** What reading subjects needs. */
export interface SubjectDependencies {
  readonly database: Database;
  readonly recorder: Recorder;
  readonly runtime: Runtime;
}

/** Who owns tokens and who is blocked, for those whose role has `audit:read`. One batch reads the page and records that it was read. */
export function registerSubjectRoute(app: Hono<AppEnv>, { database, recorder, runtime }: SubjectDependencies): void {
  app.get(SUBJECTS, authorise(recorder, 'audit:read', 'subject.query'), async (c) => {
    const asked = parseSubjects(new URL(c.req.url).searchParams);
    if (!asked.ok) return failure(c, asked.error);
    const { filter, after, limitRows } = asked.value;
    const { blocked, q } = filter;
    const from = after === null ? null : cutToBytes(`${after.issuer}|${after.subject}`, SUBJECT_PLACE_DETAIL_MAX_BYTES);
    const subject = eventSubject('subject.query', actorOf(c.get('caller')), {
      detail: {
        ...(blocked !== null && { blocked }),
        ...(q !== null && { q }),
        limit: limitRows,
        ...(from !== null && { after: from }),
      },
    });
    const query = selectSubjects(database, filter, after ?? FIRST, limitRows, runtime.now());
    const recorded = await recorder.recordRead(c.get('context'), subject, [query]);
    if (!recorded.ok) return failure(c, recorded.error);
    const { subjects, next, isPartial } = readPage(recorded.value.rows[0], filter, limitRows);
    const cursor = next === null ? null : encodeKey(next);
    return page(c, 'Owners of tokens, and who is blocked.', subjects, cursor, {}, isPartial);
  });
  app.all(SUBJECTS, methodNotAllowed('GET'));
}

const KNOWN = ['blocked', 'q', 'limit', 'cursor'];

interface SubjectsAsked {
  readonly filter: SubjectFilter;
  /** Null: the first page. */
  readonly after: SubjectKey | null;
  readonly limitRows: number;
}

/** Fails with `invalid_request`, naming the parameter; with `validation_failed` for a `q` that looks like a secret, since it is stored. */
function parseSubjects(query: URLSearchParams): Result<SubjectsAsked, RequestFailure> {
  const problems = createProblems();
  refuseUnknown(
    'parameter',
    [...new Set(query.keys())].filter((name) => !KNOWN.includes(name)),
    KNOWN,
    problems,
  );
  if (query.getAll('q').some(containsSecret)) {
    problems.unacceptable('q', 'Leave out what looks like a token or a JWT: what is asked for is stored.');
  }
  const blocked = readParameter(query, 'blocked', oneOf<string>(['true', 'false']), '', problems);
  const asked = {
    filter: {
      blocked: blocked === '' ? null : blocked === 'true',
      q: problems.has('q') ? null : readParameter<string | null>(query, 'q', beginning, null, problems),
    },
    after: readParameter<SubjectKey | null>(query, 'cursor', key, null, problems),
    limitRows: readParameter(query, 'limit', limitUpTo(SUBJECTS_PAGE_MAX_ROWS), SUBJECTS_PAGE_DEFAULT_ROWS, problems),
  };
  return problems.any() ? err(problems.failure()) : ok(asked);
}

const beginning: ParseParameter<string> = matching(
  (text) => text !== '' && byteLength(text) <= ACTOR_SUBJECT_MAX_BYTES && !/\p{Cc}/u.test(text),
  `Use what a subject or a label begins with: 1 to ${ACTOR_SUBJECT_MAX_BYTES} bytes.`,
);

/** The cursor of a place among subjects. It carries no authority, so whoever has one is granted nothing. */
export const encodeKey = ({ issuer, subject }: SubjectKey): string =>
  base64url.encode(JSON.stringify([issuer, subject]));

const keyForm = z.tuple([z.string(), z.string()]);

const key: ParseParameter<SubjectKey> = (text) => {
  const decoded = keyForm.safeParse(jsonIn(text));
  if (!decoded.success) return err('Use "next_cursor" of an earlier page as it was given.');
  const [issuer, subject] = decoded.data;
  return ok({ issuer, subject });
};

/** The JSON in a text of base64; undefined for any other text. */
function jsonIn(text: string): unknown {
  try {
    return parseJson(new TextDecoder().decode(base64url.decode(text)));
  } catch {
    return undefined;
  }
}
