/**
 * `?times=10` sends so many D1 batches of one insert each, one after the other. Time is taken outside: a Worker's clock
 * stands still while it computes.
 */
export default {
  fetch: async (request: Request, { DB }: { readonly DB: D1Database }): Promise<Response> => {
    const times = Number(new URL(request.url).searchParams.get('times'));
    await DB.exec(
      'CREATE TABLE IF NOT EXISTS one_row (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, what TEXT NOT NULL)',
    );
    for (let time = 0; time < times; time += 1) {
      const insert = DB.prepare('INSERT INTO one_row (at, what) VALUES (?, ?)').bind(Date.now(), 'what happened');
      await DB.batch([insert]);
    }
    return new Response(null, { status: 204 });
  },
};
