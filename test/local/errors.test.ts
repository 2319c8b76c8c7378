import { mkdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { fileProblem, reasonOf } from '../../local/errors.ts';

const failureOf = (action: () => unknown): unknown => {
  try {
    return action();
  } catch (error) {
    return error;
  }
};

describe('an error of the system', () => {
  it.each([
    ['/dev/null/v3', '/dev/null/v3 cannot be used: it or a part of its path is no folder (ENOTDIR).'],
    ['/proc/v3', '/proc/v3 cannot be used: the folder is not there (ENOENT).'],
    ['/tmp', '/tmp cannot be used: a file of that name is in the way (EEXIST).'],
  ])('names the file and the next step: %s', (file, said) => {
    const error = failureOf(() => mkdirSync(file));
    expect(fileProblem(error, 'STATE_DIR=x')).toBe(`${said} Put that right, or choose another place: STATE_DIR=x.`);
  });

  it('that names no file, and any other error, is told by others', () => {
    expect(fileProblem(new Error('broken'), 'x')).toBeNull();
    expect(fileProblem(Object.assign(new Error('connect'), { code: 'ECONNREFUSED' }), 'x')).toBeNull();
  });

  it('is its code where there are no words for it', () => {
    expect(reasonOf(Object.assign(new Error('odd'), { code: 'EODD' }))).toBe('EODD');
    expect(reasonOf(new Error('broken'))).toBe('broken');
  });
});
