/** An answer to a browser, with its text read. */
export interface Page {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** Where it leads, or null. */
  readonly location: URL | null;
}

/** A browser as far as a sign-in needs one: it keeps the cookies of `localhost`, and follows nothing by itself. */
export function createBrowser() {
  const cookies = new Map<string, string>();
  const ask = async (url: URL | string, init: RequestInit = {}): Promise<Page> => {
    const response = await fetch(url, {
      ...init,
      redirect: 'manual',
      headers: {
        Accept: 'text/html',
        Connection: 'close',
        Cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; '),
      },
    });
    for (const cookie of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? [];
      if (/expires=Thu, 01 Jan 1970/i.test(cookie)) cookies.delete(name);
      else cookies.set(name, value);
    }
    const location = response.headers.get('Location');
    return {
      status: response.status,
      headers: response.headers,
      text: await response.text(),
      location: location === null ? null : new URL(location, url),
    };
  };
  const post = async (url: URL | string, fields: Readonly<Record<string, string>>): Promise<Page> =>
    await ask(url, { method: 'POST', body: new URLSearchParams(fields) });

  /** Follows redirects as long as they stay at the host of the URL; gives the last answer and its URL. */
  const follow = async (url: URL): Promise<{ readonly page: Page; readonly url: URL }> => {
    const page = await ask(url);
    return page.location === null || page.location.host !== url.host ? { page, url } : await follow(page.location);
  };
  return { ask, post, follow, cookies };
}
