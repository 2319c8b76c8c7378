import { judge } from '../commands/verify/judge/judge.ts';
import type { Source } from '../commands/verify/source.ts';
import type { AuditEventRow } from '../src/db/schema.ts';
import { checkpointBody } from '../src/tlog/checkpoint.ts';
import { type Edge, grow, leafHash, rootOf } from '../src/tlog/merkle.ts';
import { createSigner, noteText, signNote } from '../src/tlog/note.ts';
import { bundleOf, TILE_WIDTH, tileOf } from '../src/tlog/tiles.ts';
import { entryOfRow } from '../src/trail/log/facts.ts';
import { presentEvent } from '../src/trail/query/format.ts';
import { atMost, type Bar } from './bars.ts';
import { printTable } from './print.ts';
import { sized } from './quick.ts';

const EVENTS = sized(200_000, 20_000);
const NAME = 'countersign.example.com/trail';
/** What a verification of a million events may take of one core. */
const SECONDS_PER_MILLION = 240;

/** An event of a made-up trail: what a create leaves. */
export const rowOf = (seq: number): AuditEventRow => ({
  seq,
  id: `00000000-0000-4000-8000-${String(seq).padStart(12, '0')}`,
  occurred_at: 1_793_000_000_000 + seq * 100,
  settled_at: 1_793_000_000_000 + seq * 100 + 50,
  action: 'service_account_token.create',
  status: 'success',
  actor_type: 'user',
  actor_issuer: 'https://issuer.example',
  actor_subject: `person-${seq % 900}`,
  actor_label: `person-${seq % 900}@acme.example`,
  workspace_uuid: '5877a4ae-0000-4000-8000-00000000000a',
  token_id: `token-${seq}`,
  token_name: `ci-${seq}`,
  request_id: `request-${seq}`,
  ip: '192.0.2.7',
  user_agent: 'curl/8',
  upstream_status: 201,
  error_code: null,
  detail: JSON.stringify({ policy: '0011223344556677', scopes: ['api:read'], expires_in_days: 30 }),
  outcome: JSON.stringify({ role: 'ci' }),
  count: 1,
  last_at: null,
  read_key: null,
  marker: null,
  closed_at: null,
  recorded_mac: null,
  settled_mac: null,
});

/** The time and the memory of verifying a trail whose files are in memory: what reading them costs comes on top. */
export async function benchTrailVerify(): Promise<readonly Bar[]> {
  const signer = await createSigner({ kind: 'log', name: NAME, keyId: '', seed: new Uint8Array(32).fill(7) });
  const [bundles, tiles]: [Uint8Array[], Uint8Array[]] = [[], []];
  let edge: Edge = [];
  for (let begin = 0; begin < EVENTS; begin += TILE_WIDTH) {
    const seqs = Array.from({ length: Math.min(TILE_WIDTH, EVENTS - begin) }, (_, offset) => begin + offset + 1);
    const entries = seqs.map((seq) => entryOfRow('final', rowOf(seq), true));
    const leaves = entries.map(leafHash);
    edge = grow(edge, begin, leaves);
    bundles.push(bundleOf(entries));
    tiles.push(tileOf(leaves));
  }
  const body = checkpointBody({ origin: NAME, size: EVENTS, root: rootOf(edge) });
  const note = noteText({ body, signatures: [await signNote(body, signer)] });
  const source: Source = {
    name: 'memory',
    atOnce: 4,
    logs: async () =>
      await Promise.resolve({ logs: [{ number: 1, origin: NAME, size: EVENTS, stopped: null, stopped_at: null }] }),
    checkpoint: async () => await Promise.resolve(note),
    tile: async (_log, { level, index }) =>
      await Promise.resolve((level === 'entries' ? bundles[index] : level === 0 ? tiles[index] : null) ?? null),
    async *events() {
      await Promise.resolve();
      for (let seq = 1; seq <= EVENTS; seq += 1) yield JSON.stringify(presentEvent(rowOf(seq)));
      yield JSON.stringify({ complete: true, count: EVENTS, next: null });
    },
  };
  // The time of the processor: whatever else this machine does leaves it alone.
  const startedAt = process.cpuUsage();
  const { verdicts } = await judge(source, {
    pins: [signer.verifier],
    known: [],
    witnesses: [],
    quorum: 0,
    isLatest: true,
    isLive: false,
    nowMs: 1_900_000_000_000,
    progress: () => {},
  });
  const { user, system } = process.cpuUsage(startedAt);
  const perMillion = ((user + system) / 1e6) * (1_000_000 / EVENTS);
  if (verdicts.integrity?.judgement !== 'good') throw new Error(verdicts.integrity?.because);
  const megabytes = Math.round(process.memoryUsage().arrayBuffers / 2 ** 20);
  console.log(`Verifying a trail of ${EVENTS} events, its files in memory (these are a part of the megabytes).`);
  printTable('verify', [{ events: EVENTS, 'CPU s per million': Math.round(perMillion), 'MB of buffers': megabytes }]);
  return [atMost('verifying a million events: seconds of CPU', Math.round(perMillion), SECONDS_PER_MILLION, ' s')];
}
