import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { answerTo, FAILURE_KINDS } from '../../contract/failures.ts';
import { failureBody } from '../../src/http/wire-errors.ts';
import { ERROR_CODES, type ErrorCode } from '../../src/vocabulary.ts';

// Every error answer leads a reader to the section of its code.

const PAGE = readFileSync(path.join(import.meta.dirname, '..', '..', 'docs', 'errors.md'), 'utf8');
const SECTIONS = new Map(
  PAGE.split(/^### /m)
    .slice(1)
    .map((section) => {
      const [title = '', ...lines] = section.split('\n');
      return [title.replaceAll('`', ''), lines.join('\n')] as const;
    }),
);
const STATUSES = new Map<ErrorCode, number>(FAILURE_KINDS.map(answerTo).map(({ code, status }) => [code, status]));

it('docs/errors.md has a section for each code, and no other, in the order of the closed list', () => {
  expect([...SECTIONS.keys()]).toEqual(ERROR_CODES);
});

it.each(FAILURE_KINDS)('the help of %s leads to the section of its code', (kind) => {
  const answer = answerTo(kind);
  const [page, anchor] = failureBody(answer, 'request-1', null).help.split('#');
  expect([page, anchor]).toEqual(['/docs/errors', answer.code]);
  expect([...SECTIONS.keys()]).toContain(anchor);
});

describe.each(ERROR_CODES)('the section of %s', (code) => {
  const text = SECTIONS.get(code) ?? '';

  it('names the status of its answers', () => {
    const status = STATUSES.get(code);
    expect(text).toContain(`**Status:** ${status ?? 'in the trail alone'}.`);
  });

  it('says what it means, what causes it, and what to do', () => {
    for (const part of ['Meaning', 'Cause', 'What to do'])
      expect(text).toMatch(new RegExp(`\\*\\*${part}:\\*\\* \\S.{3}`));
  });
});
