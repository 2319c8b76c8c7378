import { readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { describe, expect, inject, it } from 'vitest';
import { trailVerifierFileIn } from '../../local/secrets.ts';
import { parseVerifier } from '../../src/tlog/note.ts';
import { parseReceipt, proveReceipt } from '../../src/tlog/proof.ts';
import { callerAs, expectEvent, uniqueName, untilSealed } from './support/people.ts';
import { expectSeen, visit } from './support/visit.ts';

// The seal of an event, as its page shows it. The receipt is checked in the browser, which believes the service nothing but its key.

const RECEIPTS = '**/api/v1/audit/events/*/receipt';
const WAITING = 'Not sealed yet. That takes some two minutes.';
const WRONG = 'The receipt does not prove what is shown here.';

const createdEvent = async () => {
  const { id } = await callerAs('local-ci', 'ci').tokens.create({ name: uniqueName('sealed'), scopes: ['api:read'] });
  return await expectEvent({ action: 'service_account_token.create', token_id: id });
};

describe('The page of an event', () => {
  it('waits for the seal, checks it, and saves a receipt that the pinned key of the log proves', async () => {
    const event = await createdEvent();
    const { page, announce } = await visit('ada', `/console/activity/${event.id}`);
    announce(/^409 GET \/api\/v1\/audit\/events\/[\w-]+\/receipt$/);
    await expectSeen(page.getByText(WAITING));
    await untilSealed(event.id);
    await page.reload();
    await expectSeen(page.getByText(/Sealed as entry \d+ of \d+ in \S+, checked in this browser\./));
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Save the receipt' }).click(),
    ]);
    expect(download.suggestedFilename()).toBe(`${event.id}.tlog-proof`);
    const receipt = parseReceipt(await text(await download.createReadStream()));
    const pinned = parseVerifier(readFileSync(trailVerifierFileIn(inject('browserRun').stateDir), 'utf8').trim());
    if (receipt === null || pinned === null) throw new Error('There is no receipt, or no verifier key.');
    expect(await proveReceipt(receipt, pinned)).not.toBeNull();
    expect(JSON.parse(new TextDecoder().decode(receipt.entry))).toMatchObject({ fact: 'final', id: event.id });
  });

  it.each<[string, (receipt: string, ofAnother: string) => string]>([
    ['of another event', (_receipt, ofAnother) => ofAnother],
    ['whose entry was changed', (receipt) => receipt.replace(/(?<=^extra .{40})./m, 'A')],
    [
      'whose signature was changed',
      (receipt) => receipt.replace(/(?<=\n— \S+ .{20})./, (char) => (char === 'A' ? 'B' : 'A')),
    ],
  ])('warns of a receipt %s', async (_what, tampered) => {
    const [event, other] = await Promise.all([createdEvent(), createdEvent()]);
    const [receipt, ofAnother] = await Promise.all([untilSealed(event.id), untilSealed(other.id)]);
    expect(tampered(receipt, ofAnother)).not.toBe(receipt);
    const { page } = await visit('ada', null);
    await page.route(
      RECEIPTS,
      async (route) => await route.fulfill({ contentType: 'text/plain', body: tampered(receipt, ofAnother) }),
    );
    await page.goto(`/console/activity/${event.id}`);
    await expectSeen(page.getByText(WRONG));
  });
});
