import * as z from 'zod';
import { ACTOR_SUBJECT_MAX_BYTES } from '../src/config/limits.ts';
import {
  SUBJECT_BLOCKS_MAX_COUNT,
  SUBJECT_TOKENS_COUNTED_MAX_ROWS,
  SUBJECTS_PAGE_DEFAULT_ROWS,
  SUBJECTS_PAGE_MAX_ROWS,
} from '../src/config/subject-limits.ts';
import { RECORDED } from './failures.ts';
import type { Operation, Parameter } from './operation.ts';
import { component, count, page, say, time, uuid } from './schema.ts';

const block = z.strictObject({
  since: time(),
  by: say(z.enum(['subject', 'label']), 'Whether it names the subject or its label.'),
  event_id: say(uuid(), 'The event in the trail of what has made it.').optional(),
  delivery_id: say(uuid(), 'The webhook, or the revocation by a caller, that has made it.'),
  reason: say(z.string(), 'Why, as the caller said who made it.').optional(),
});

const subject = component(
  'Subject',
  z.strictObject({
    issuer: say(z.string().nullable(), 'Null, as is `subject`: the entry is about a label that is blocked.'),
    subject: z.string().nullable(),
    label: say(
      z.string().nullable(),
      'The label under which it last created a token, or was offboarded, in the form in which labels are compared.',
    ),
    tokens: say(
      z.strictObject({ live: count(), total: count(), more: z.literal(true).optional() }),
      `Its tokens, counted up to ${SUBJECT_TOKENS_COUNTED_MAX_ROWS}. \`more\`: there are more.`,
    ),
    blocks: say(
      z.array(block),
      `Why it is refused everything: the first ${SUBJECT_BLOCKS_MAX_COUNT}. Empty: it is not.`,
    ),
  }),
  'An owner of tokens, or somebody who is blocked.',
);

const subjectsAnswer = component(
  'SubjectsAnswer',
  page(subject, {}).extend({
    partial: say(
      z.literal(true),
      'The page ends before it is full: there may be more behind `next_cursor`.',
    ).optional(),
  }),
  'A page of subjects.',
);

const query = (name: string, description: string, schema: z.ZodType, example: unknown): Parameter => ({
  in: 'query',
  name,
  description,
  schema,
  example,
});

export const subjectOperations: readonly Operation[] = [
  {
    tag: 'incidents',
    isRecorded: true,
    access: 'audit:read',
    method: 'GET',
    pattern: '/api/v1/subjects',
    id: 'listSubjects',
    summary: 'List who owns tokens and who is blocked',
    description:
      'In the order of issuer and subject, with how many tokens each has and why each is blocked. A page with `q` or `blocked=false` looks through a bounded number of subjects.',
    parameters: [
      query('blocked', '`true`: those who are blocked. `false`: owners who are not. Default: all.', z.boolean(), true),
      query(
        'q',
        'What a subject or a label begins with. Labels are compared whatever the case of their letters.',
        say(
          z.string().min(1).max(ACTOR_SUBJECT_MAX_BYTES),
          'Without control characters, and nothing that looks like a token secret or a JWT.',
          { pattern: String.raw`^[^\u0000-\u001F\u007F-\u009F]+$`, format: 'stored-text' },
        ),
        'kim@',
      ),
      query(
        'limit',
        `How many subjects the page has at the most. Default: ${SUBJECTS_PAGE_DEFAULT_ROWS}.`,
        z.int().min(1).max(SUBJECTS_PAGE_MAX_ROWS),
        20,
      ),
      query(
        'cursor',
        '`next_cursor` of the page before, as it was given.',
        say(z.string().regex(/^W[A-Za-z0-9_-]{6,2100}$/), 'Opaque.', { format: 'subject-cursor' }),
        'WyJodHRwczovL2lzc3Vlci5leGFtcGxlIiwia2ltIl0',
      ),
    ],
    successes: [
      {
        status: 200,
        description: 'A page of subjects.',
        content: {
          schema: subjectsAnswer,
          examples: {
            blocked: {
              success: true,
              message: 'Owners of tokens, and who is blocked.',
              data: [
                {
                  issuer: 'https://issuer.example',
                  subject: 'lee',
                  label: 'lee@acme.example',
                  tokens: { live: 0, total: 3 },
                  blocks: [
                    {
                      since: '2026-11-28T00:44:17.472Z',
                      by: 'label',
                      event_id: '2692281b-33b0-482a-b689-002c54a712da',
                      delivery_id: '1e02cc7c-b21e-4f38-9794-a35ab41bdcc7',
                      reason: 'INC-8: laptop stolen',
                    },
                  ],
                },
              ],
              pagination: { next_cursor: null },
            },
          },
        },
      },
    ],
    failures: ['invalid_request', 'validation_failed', ...RECORDED],
  },
];
