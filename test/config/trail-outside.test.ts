import { describe, expect, it } from 'vitest';
import { ANCHORS_MAX_COUNT } from '../../src/config/trail-limits.ts';
import { readTrailSecrets } from '../../src/config/trail-log.ts';
import { privateKeyText, verifierOf, verifierText } from '../../src/tlog/note.ts';

// Who outside gets the checkpoints of the log, as the operator writes it down.

const SEED = new Uint8Array(32).fill(1);
const TRAIL_KEY = await privateKeyText('log', 'countersign.example.com/trail', SEED);
const KEY = verifierText(verifierOf('witness', 'witness.example/w', SEED));
const OF_A_LOG = verifierText(verifierOf('log', 'witness.example/w', SEED));

const read = (settings: Readonly<Record<string, string>>) => readTrailSecrets({ TRAIL_KEY, ...settings });

describe('witnesses and URLs', () => {
  it('are none where none are named', () => {
    expect(read({})).toMatchObject({ ok: true, value: { trailLog: { witnesses: [], anchors: [] } } });
  });

  it('are named one after another', () => {
    const settings = {
      TRAIL_WITNESSES: `https://one.example/prefix/ ${KEY},\n http://127.0.0.1:8790 ${KEY}`,
      TRAIL_ANCHORS: 'https://anchor.example/hook?key=x, https://other.example/',
    };
    const { value } = read(settings) as { value: { trailLog: { witnesses: object[]; anchors: string[] } } };
    expect(value.trailLog.witnesses).toMatchObject([
      { url: 'https://one.example/prefix', verifier: { name: 'witness.example/w', kind: 'witness' } },
      { url: 'http://127.0.0.1:8790' },
    ]);
    expect(value.trailLog.anchors).toEqual(['https://anchor.example/hook?key=x', 'https://other.example']);
  });

  const tooMany = Array.from({ length: ANCHORS_MAX_COUNT }, (_, index) => `https://a${index}.example`).join(',');
  it.each<[string, Readonly<Record<string, string>>, string]>([
    ['a witness without a key', { TRAIL_WITNESSES: 'https://witness.example' }, 'TRAIL_WITNESSES'],
    ['a witness with the key of a log', { TRAIL_WITNESSES: `https://witness.example ${OF_A_LOG}` }, 'TRAIL_WITNESSES'],
    ['a witness with a damaged key', { TRAIL_WITNESSES: `https://witness.example ${KEY}A` }, 'TRAIL_WITNESSES'],
    ['a witness over http', { TRAIL_WITNESSES: `http://witness.example ${KEY}` }, 'TRAIL_WITNESSES'],
    ['a witness with a query', { TRAIL_WITNESSES: `https://witness.example/?a=b ${KEY}` }, 'TRAIL_WITNESSES'],
    ['a witness with a password', { TRAIL_WITNESSES: `https://a:b@witness.example ${KEY}` }, 'TRAIL_WITNESSES'],
    ['a URL over http', { TRAIL_ANCHORS: 'http://anchor.example' }, 'TRAIL_ANCHORS'],
    ['more places than a run can ask at once', { TRAIL_ANCHORS: `${tooMany},https://more.example` }, 'TRAIL_ANCHORS'],
    [
      'as many URLs, and a witness',
      { TRAIL_ANCHORS: tooMany, TRAIL_WITNESSES: `https://witness.example ${KEY}` },
      'TRAIL_ANCHORS',
    ],
  ])('are refused: %s', (_, settings, key) => {
    const refused = read(settings);
    expect(refused).toMatchObject({ ok: false, error: [{ key }] });
    expect(JSON.stringify(refused)).not.toMatch(/a:b@|hook|more\.example/);
  });
});
