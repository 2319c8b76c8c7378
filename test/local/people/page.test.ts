import { describe, expect, it } from 'vitest';
import { messagePage, signInPage } from '../../../local/people/page.ts';

const MARKUP = `</h1><script>alert("1")</script>'&`;
const SHOWN = '&lt;/h1&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&#39;&amp;';

describe('a page of the provider', () => {
  it('shows markup in a message as text', () => {
    const page = messagePage(MARKUP, MARKUP, `http://127.0.0.1/"${MARKUP}`);
    expect(page.split(SHOWN)).toHaveLength(5);
    expect(page).not.toContain('<script');
    expect(page).not.toContain('"</h1>');
  });

  it('shows markup in a person as text', () => {
    const person = { subject: MARKUP, name: MARKUP, email: MARKUP, role: 'admin', title: MARKUP, may: MARKUP } as const;
    const page = signInPage('nothing', [person]);
    expect(page.split(SHOWN)).toHaveLength(5);
    expect(page).not.toContain('<script');
  });

  it.each([
    ['nothing', false, false],
    ['code', true, false],
    ['wrong code', true, true],
  ] as const)('that asks for %s', (asked, hasField, hasAlert) => {
    const page = signInPage(asked);
    expect([page.includes('name="code"'), page.includes('role="alert"')]).toEqual([hasField, hasAlert]);
    expect(page.match(/<button name="subject" value="\w+">/g)).toHaveLength(3);
  });
});
