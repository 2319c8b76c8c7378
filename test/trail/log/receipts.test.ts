import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  createSigner,
  noteText,
  parseNote,
  parsePrivateKey,
  parseVerifier,
  signNote,
  type Verifier,
  verifierOf,
  verifierText,
} from '../../../src/tlog/note.ts';
import { parseReceipt, proveReceipt } from '../../../src/tlog/proof.ts';
import { createHarness, type Answer, type Harness } from '../../support/harness.ts';
import { insertRows } from '../query/trail.ts';
import { clearTrail } from './rig.ts';
import { ORIGIN, resumed, seal, TRAIL_KEY } from './sealed.ts';

// Receipts as their holders check them: by the formats and the public key alone.

let harness: Harness;
let verifier: Verifier;
beforeAll(async () => {
  harness = await createHarness({ env: { TRAIL_KEY } });
  ({ verifier } = await createSigner(parsePrivateKey(TRAIL_KEY)!));
});

const ask = async (id: string, query = '', from = harness): Promise<Answer> =>
  await from.send('GET', `/api/v1/audit/events/${id}/receipt${query}`);

/** What the holder of a receipt learns from it with nothing but a key. Null: nothing. */
async function proven(text: string, by: Verifier = verifier) {
  const receipt = parseReceipt(text);
  if (receipt === null || (await proveReceipt(receipt, by)) === null) return null;
  return JSON.parse(new TextDecoder().decode(receipt.entry)) as Record<string, unknown>;
}

/** An event of its own, as if it had happened. Gives its id. */
async function event(row: Parameters<typeof insertRows>[0][number] = {}): Promise<string> {
  const id = crypto.randomUUID();
  await insertRows([{ id, ...row }]);
  return id;
}

/** The raw statement of somebody who administers the account: no trigger is in the way. */
async function tamper(sql: string, ...values: readonly unknown[]): Promise<void> {
  const triggers = (
    await env.DB.prepare(`select name, sql from sqlite_master where type = 'trigger' and name like '%guard'`).all<{
      name: string;
      sql: string;
    }>()
  ).results;
  await env.DB.batch([
    ...triggers.map(({ name }) => env.DB.prepare(`drop trigger ${name}`)),
    env.DB.prepare(sql).bind(...values),
    ...triggers.map((trigger) => env.DB.prepare(trigger.sql)),
  ]);
}

const OPEN = { status: 'attempted', settled_at: null, outcome: null } as const;
const settle = async (id: string): Promise<unknown> =>
  await env.DB.prepare(`update audit_events set status = 'success', settled_at = 5, outcome = '{}' where id = ?`)
    .bind(id)
    .run();

describe('a receipt', () => {
  it('of what was over at once proves the whole event, of which the row is a count of one reader', async () => {
    const id = await event({ request_id: 'request-1' });
    await seal();
    const answer = await ask(id);
    expect([answer.status, answer.headers.get('Content-Type'), answer.headers.get('Cache-Control')]).toEqual([
      200,
      'text/plain; charset=utf-8',
      'no-store',
    ]);
    expect(await proven(answer.text)).toMatchObject({
      v: 1,
      fact: 'final',
      id,
      request_id: 'request-1',
      status: 'success',
    });
    expect((await ask(id, '?fact=recorded')).text).toBe(answer.text);
    const read = await env.DB.prepare('select * from audit_events where id = ?')
      .bind(answer.headers.get('X-Audit-Event-Id'))
      .first<{ action: string; detail: string; status: string }>();
    expect([read?.action, read?.status]).toEqual(['audit.query', 'success']);
    expect(JSON.parse(read!.detail)).toMatchObject({ event_id: id, read: 'receipt' });
  });

  it('of a row that counts proves its count', async () => {
    const id = await event({ read_key: crypto.randomUUID() });
    await env.DB.prepare('update audit_events set count = 7, last_at = occurred_at + 1 where id = ?').bind(id).run();
    await seal();
    expect(await proven((await ask(id)).text)).toMatchObject({ fact: 'counted', id, count: 7 });
  });

  it('of an attempt proves how it was recorded, and then what became of it', async () => {
    const id = await event(OPEN);
    await seal();
    const begun = await ask(id);
    expect(await proven(begun.text)).toMatchObject({ fact: 'recorded', id });
    await settle(id);
    // What is sealed by now is no answer to what became of it.
    const early = await ask(id);
    expect([early.status, early.body.code, early.headers.get('Retry-After')]).toEqual([409, 'not_sealed', '60']);
    expect(await proven((await ask(id, '?fact=recorded')).text)).toMatchObject({ fact: 'recorded', id });
    await seal();
    expect(await proven((await ask(id)).text)).toMatchObject({ fact: 'settled', id, status: 'success' });
    expect(await proven((await ask(id, '?fact=recorded')).text)).toMatchObject({ fact: 'recorded', id });
    // A receipt that somebody has kept stays good while the log grows.
    expect(await proven(begun.text)).toMatchObject({ fact: 'recorded', id });
  });

  it('proves nothing under another key', async () => {
    const id = await event();
    await seal();
    const { text } = await ask(id);
    const other = parseVerifier(verifierText({ ...verifier, publicKey: new Uint8Array(32).fill(9) }));
    expect([other, await proven(text, { ...verifier, publicKey: new Uint8Array(32).fill(9) })]).toEqual([null, null]);
  });

  it('has the cosignatures of witnesses', async () => {
    const id = await event();
    const line = `— witness.test ${btoa('x'.repeat(76))}\n`;
    await seal({ cosignatures: line });
    const { text } = await ask(id);
    expect(text.endsWith(`\n${line}`)).toBe(true);
    expect(await proven(text)).toMatchObject({ id });
  });

  it('has its checkpoint from the files once D1 has forgotten it', async () => {
    const id = await event();
    await seal();
    await env.DB.prepare('delete from trail_checkpoints').run();
    expect(await proven((await ask(id)).text)).toMatchObject({ id });
  });
});

describe('there is no receipt', () => {
  it('of an event that is not sealed, or whose leaf is not published, and that is in the trail', async () => {
    await seal();
    const id = await event();
    const codes = [(await ask(id)).body.code];
    const leaves = await seal({ published: (await published()) ?? 0 });
    codes.push((await ask(id)).body.code);
    expect([codes, leaves.length > (await published())!]).toEqual([['not_sealed', 'not_sealed'], true]);
    const answer = await ask(id);
    const read = await env.DB.prepare('select status, error_code from audit_events where id = ?')
      .bind(answer.headers.get('X-Audit-Event-Id'))
      .first();
    expect(read).toEqual({ status: 'failure', error_code: 'not_sealed' });
    await seal();
    expect((await ask(id)).status).toBe(200);
  });

  it('of an event that does not exist', async () => {
    const answer = await ask(crypto.randomUUID());
    expect([answer.status, answer.body.code]).toEqual([404, 'not_found']);
  });

  it.each([
    ['id', 'latest', ''],
    ['fact', crypto.randomUUID(), '?fact=settled'],
    ['fact', crypto.randomUUID(), '?fact=recorded&fact=recorded'],
    ['latest', crypto.randomUUID(), '?latest=true'],
  ])('of a malformed %s', async (field, id, query) => {
    const answer = await ask(id, query);
    expect([answer.status, Object.keys(answer.body.errors)]).toEqual([400, [field]]);
  });

  it('where the trail is not sealed', async () => {
    const plain = await createHarness();
    const answer = await ask(await event(), '', plain);
    expect([answer.status, answer.body.code]).toEqual([503, 'sealing_not_configured']);
  });
});

const published = async (): Promise<number | null> =>
  await env.DB.prepare('select max(published_size) as size from trail_logs where number = 1').first<number>('size');

describe('after somebody has changed', () => {
  it('the row, the receipt proves what was sealed, and the log of the service says so', async () => {
    const id = await event({ ip: '192.0.2.1' });
    await seal();
    const before = (await ask(id)).text;
    await tamper(`update audit_events set ip = '192.0.2.99' where id = ?`, id);
    expect((await ask(id)).text).toBe(before);
    expect(await proven(before)).toMatchObject({ ip: '192.0.2.1' });
    expect(harness.lines).toContainEqual(
      expect.objectContaining({ level: 'error', event: 'trail_row_changed', event_id: id }),
    );
  });

  it('which event a leaf belongs to, there is none of either', async () => {
    const [one, other] = [await event(), await event()];
    await seal();
    const swap = async (): Promise<void> =>
      await tamper(
        `update trail_leaves set seq = (select sum(seq) from audit_events where id in (?1, ?2)) - seq
         where seq in (select seq from audit_events where id in (?1, ?2))`,
        one,
        other,
      );
    await swap();
    for (const id of [one, other]) {
      const answer = await ask(id);
      expect([answer.status, answer.body.code]).toEqual([500, 'log_damaged']);
    }
    await swap();
    expect((await ask(one)).status).toBe(200);
  });

  /** A change of a file of the log that an event is in, and what it is afterwards. */
  const FILES = {
    'a bundle of entries': (size: number) => `1/tile/entries/000.p/${size}`,
    'a hash tile': (size: number) => `1/tile/0/000.p/${size}`,
  };
  it.each(Object.entries(FILES))(
    '%s, or has taken it away, there is none, and the row says why',
    async (_name, keyOf) => {
      const id = await event();
      const size = (await seal()).length;
      const key = keyOf(size);
      const { body } = (await env.DB.prepare('select body from trail_objects where key = ?')
        .bind(key)
        .first<{ body: string }>())!;
      const other = body.startsWith('A') ? body.replace('A', 'B') : `A${body.slice(1)}`;
      for (const changed of [other, body.slice(0, -8), '']) {
        await tamper('update trail_objects set body = ? where key = ?', changed, key);
        // Another isolate, which remembers no tile.
        const answer = await ask(id, '', await createHarness({ like: harness, env: { TRAIL_KEY } }));
        expect([answer.status, answer.body.code]).toEqual([500, 'log_damaged']);
        const row = await env.DB.prepare('select status, error_code from audit_events where id = ?')
          .bind(answer.headers.get('X-Audit-Event-Id'))
          .first();
        expect(row).toEqual({ status: 'failure', error_code: 'log_damaged' });
      }
      await tamper('update trail_objects set key = ?2 where key = ?1', key, `${key}-away`);
      const another = await createHarness({ like: harness, env: { TRAIL_KEY } });
      expect((await ask(id, '', another)).body.code).toBe('log_damaged');
      await tamper('update trail_objects set key = ?2, body = ?3 where key = ?1', `${key}-away`, key, body);
      // What was wrong is not remembered.
      expect((await ask(id, '', another)).status).toBe(200);
    },
  );

  it('the checkpoint, or has signed one with another key, there is none', async () => {
    const id = await event();
    const size = (await seal()).length;
    const { note } = (await env.DB.prepare('select note from trail_checkpoints where size = ?')
      .bind(size)
      .first<{ note: string }>())!;
    const { body } = parseNote(note)!;
    const stranger = await createSigner({ ...parsePrivateKey(TRAIL_KEY)!, seed: new Uint8Array(32).fill(9) });
    for (const changed of [
      note.replace(`\n${size}\n`, `\n${size + 1}\n`),
      note.replace(ORIGIN, `${ORIGIN}/2`),
      noteText({ body, signatures: [await signNote(body, stranger)] }),
      noteText({ body, signatures: [await signNote(body, { ...stranger, verifier })] }),
      'nothing',
    ]) {
      await tamper('update trail_checkpoints set note = ? where size = ?', changed, size);
      expect((await ask(id)).body.code).toBe('log_damaged');
    }
    await tamper('update trail_checkpoints set note = ? where size = ?', note, size);
    expect((await ask(id)).status).toBe(200);
  });
});

describe('after a log was resumed', () => {
  it('an event whose leaf is void has its receipt from the log that has sealed it anew, and none until then', async () => {
    const [kept, anew] = [await event(), await event()];
    const leaves = await seal();
    const seqOf = async (id: string): Promise<number> =>
      (await env.DB.prepare('select seq from audit_events where id = ?').bind(id).first<number>('seq'))!;
    const voidFrom = leaves.findIndex(
      (leaf) => leaf.seq !== null && leaf.kind === 'final' && new TextDecoder().decode(leaf.entry).includes(anew),
    );
    await seal({ number: 2, before: [resumed(voidFrom)], fromSeq: Number.MAX_SAFE_INTEGER });
    expect((await ask(anew)).body.code).toBe('not_sealed');
    await seal({ number: 2, fromSeq: await seqOf(anew) });
    const { text } = await ask(anew);
    const second = verifierOf('log', `${ORIGIN}/2`, verifier.publicKey);
    expect([await proven(text), await proven(text, second)]).toEqual([null, expect.objectContaining({ id: anew })]);
    expect(await proven((await ask(kept)).text)).toMatchObject({ id: kept });
  });
});

describe('of what the service itself has sealed', () => {
  it('a receipt of each kind of fact is good', async () => {
    await clearTrail();
    let skewMs = 0;
    const own = await createHarness({ env: { TRAIL_KEY }, runtime: { now: () => Date.now() + skewMs } });
    const [open, counted] = [crypto.randomUUID(), crypto.randomUUID()];
    const begun = { occurred_at: Date.now(), action: 'service_account_token.revoke' } as const;
    await insertRows([
      { id: open, ...begun, ...OPEN },
      { id: counted, read_key: 'reads' },
    ]);
    await own.mint();
    const minted = (await own.rows()).at(-1)!.id;
    const factOf = async (id: string, query = ''): Promise<unknown> => {
      const { status, text } = await ask(id, query, own);
      if (status !== 200) return status;
      const entry = await proven(text);
      return entry === null ? 'unproven' : [entry['fact'], entry['id'] === id];
    };
    expect(await factOf(minted)).toBe(409);
    await own.cron();
    expect(await factOf(open)).toEqual(['recorded', true]);
    expect(await factOf(minted)).toEqual(['final', true]);
    await settle(open);
    expect(await factOf(open)).toBe(409);
    skewMs = 5 * 60_000;
    await own.cron();
    expect(await factOf(open)).toEqual(['settled', true]);
    expect(await factOf(open, '?fact=recorded')).toEqual(['recorded', true]);
    expect(await factOf(counted)).toEqual(['counted', true]);
  });
});
