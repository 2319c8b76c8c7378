import * as z from 'zod';
import { LOG_STOPS, RECEIPT_FACTS } from '../src/vocabulary.ts';
import { EVENT } from './events.ts';
import { RECORDED } from './failures.ts';
import type { Operation, Parameter, Success } from './operation.ts';
import { component, count, say, success, time, uuid } from './schema.ts';

const KEY = 'countersign.example.com/trail+d7c1a9f0+AcL6LkRyCkjL6VyJg3t2k1bQw0jX8yq1p3m5f7v9x2Bd';

const trailLog = component(
  'TrailLog',
  z.strictObject({
    number: say(z.int().min(1), 'Logs follow each other: a new one begins where the one before it could not go on.'),
    origin: say(z.string(), 'The name of the log, which its checkpoints begin with.'),
    size: say(count(), 'How many entries its last published checkpoint covers.'),
    published_at: say(time().nullable(), 'When that was published. Null: none was yet.'),
    begun_at: time(),
    stopped: say(z.enum(LOG_STOPS).nullable(), 'Why it does not grow any more. Null: it grows.'),
    stopped_at: time().nullable(),
    verifier_key: say(
      z.string().nullable(),
      'The key that checks its last checkpoint (C2SP signed-note). An auditor has pinned that of the first log elsewhere, since an answer proves nothing about itself. Null: this service does not have the key any more.',
    ),
  }),
  'A log over the trail.',
);

const trailLogAnswer = component(
  'TrailLogAnswer',
  success(
    z.strictObject({
      logs: say(z.array(trailLog), 'The first log first.'),
      current: say(z.int().nullable(), 'The log that grows, or grew last. Null: nothing was sealed yet.'),
      witnesses: say(
        z.array(z.strictObject({ url: z.string(), key: say(z.string(), 'Its verifier key.') })),
        'Who is asked to cosign checkpoints.',
      ),
      unsealed: z.strictObject({
        events: say(count(), 'Events that no published checkpoint covers, at least in part.'),
        oldest_at: say(
          time().nullable(),
          'When the oldest of them was recorded. A row that counts reads is sealed two minutes after its last one.',
        ),
      }),
    }),
  ),
  'The logs, and what they do not cover yet.',
);

const number: Parameter = {
  in: 'path',
  name: 'number',
  description: 'The number of the log, as the list of logs shows it.',
  schema: say(z.int().min(1).max(999_999_999), 'From 1.'),
  example: 1,
};
const tile: Parameter = {
  in: 'path',
  name: 'tile',
  description:
    'Which tile, as C2SP tlog-tiles writes it: `<level>/<index>`, or `entries/<index>` for a bundle of entries, with `.p/<width>` where it is partial. Its slashes are sent as they are.',
  schema: z.string().regex(/^(?:entries|\d|[1-5]\d|6[0-3])\/(?:x\d{3}\/){0,4}\d{3}(?:\.p\/[1-9]\d{0,2})?$/),
  example: 'entries/x001/067.p/3',
};
const eventId: Parameter = {
  in: 'path',
  name: 'event_id',
  description: 'The id of the event, as the trail or `X-Audit-Event-Id` gave it.',
  schema: uuid(),
  example: EVENT.id,
};

const CHECKPOINT = `countersign.example.com/trail\n70000\nQ1v0eYlA5l0s0mDqZ4oC3x1c6Dk1mH0y1m3o5p7r9tU=\n\n— countersign.example.com/trail 18Gp8Bq1…\n`;

const checkpointAnswer: Success = {
  status: 200,
  description: 'The checkpoint.',
  content: {
    texts: {
      'text/plain': {
        description:
          'A signed note (C2SP tlog-checkpoint), with a further signature line for each witness that has cosigned it.',
        example: CHECKPOINT,
      },
    },
  },
};
const tileAnswer: Success = {
  status: 200,
  description: 'The file.',
  content: {
    texts: {
      'application/octet-stream': {
        description:
          'Of a hash tile, hashes of 32 bytes. Of a bundle, entries: each is canonical JSON, with its length before it as two bytes, the higher one first.',
        isBinary: true,
      },
    },
  },
};

const COMMON = { tag: 'trail', method: 'GET', isRecorded: true, access: 'audit:read' } as const;
const FILE = ['invalid_request', ...RECORDED, 'sealing_not_configured', 'log_file_not_found', 'log_damaged'] as const;
const BASE = '/api/v1/audit';

export const trailLogOperations: readonly Operation[] = [
  {
    ...COMMON,
    pattern: `${BASE}/log`,
    id: 'listTrailLogs',
    summary: 'List the logs over the trail',
    description:
      'Each event of the trail is sealed in a transparency log: a tree of hashes whose root is signed. This lists the logs, and says what is not sealed yet.',
    parameters: [],
    successes: [
      {
        status: 200,
        description: 'The logs.',
        content: {
          schema: trailLogAnswer,
          examples: {
            logs: {
              success: true,
              message: 'The logs over the trail.',
              data: {
                logs: [
                  {
                    number: 1,
                    origin: 'countersign.example.com/trail',
                    size: 70_000,
                    published_at: '2026-11-28T00:45:01.120Z',
                    begun_at: '2026-11-01T09:00:00.000Z',
                    stopped: null,
                    stopped_at: null,
                    verifier_key: KEY,
                  },
                ],
                current: 1,
                witnesses: [],
                unsealed: { events: 2, oldest_at: '2026-11-28T00:45:15.946Z' },
              },
            },
          },
        },
      },
    ],
    failures: ['invalid_request', ...RECORDED, 'sealing_not_configured'],
  },
  {
    ...COMMON,
    pattern: `${BASE}/checkpoint`,
    id: 'getCheckpoint',
    summary: 'Read the checkpoint',
    description: 'Gives the last published checkpoint of the current log.',
    parameters: [],
    successes: [checkpointAnswer],
    failures: FILE,
  },
  {
    ...COMMON,
    pattern: `${BASE}/tile/:tile{.+}`,
    id: 'getTile',
    summary: 'Read a tile',
    description:
      'Gives a file of the current log, of its last published size or of one before. Bundles of entries hold what the trail holds.',
    parameters: [tile],
    successes: [tileAnswer],
    failures: FILE,
  },
  {
    ...COMMON,
    pattern: `${BASE}/logs/:number/checkpoint`,
    id: 'getLogCheckpoint',
    summary: 'Read the checkpoint of a log',
    description: 'Gives the last published checkpoint of one of the logs.',
    parameters: [number],
    successes: [checkpointAnswer],
    failures: FILE,
  },
  {
    ...COMMON,
    pattern: `${BASE}/logs/:number/tile/:tile{.+}`,
    id: 'getLogTile',
    summary: 'Read a tile of a log',
    description: 'Gives a file of one of the logs, as `getTile` does of the current one.',
    parameters: [number, tile],
    successes: [tileAnswer],
    failures: FILE,
  },
  {
    ...COMMON,
    pattern: `${BASE}/events/:event_id/receipt`,
    id: 'getReceipt',
    summary: 'Get the receipt of an event',
    description:
      'Gives a proof that the log holds a fact of the event, which anyone checks with the verifier key of the log alone. It has the entry as it was sealed, whatever the trail shows by now.',
    parameters: [
      eventId,
      {
        in: 'query',
        name: 'fact',
        description:
          '`last`: what became of the event; of an attempt that is open, how it was recorded. `recorded`: how it was recorded, which for an event that was over at once is the same. Default: `last`.',
        schema: z.enum(RECEIPT_FACTS),
        example: 'recorded',
      },
    ],
    successes: [
      {
        status: 200,
        description: 'The receipt.',
        content: {
          texts: {
            'text/plain': {
              description:
                'A proof file (C2SP tlog-proof): its `extra` is the entry, canonical JSON in base64; then come the index, the hashes of the inclusion proof and the checkpoint.',
              example: `c2sp.org/tlog-proof@v1\nextra eyJhY3Rpb24iOi…\nindex 69999\nqL5l…\n\n${CHECKPOINT}`,
            },
          },
        },
      },
    ],
    failures: [
      'invalid_request',
      ...RECORDED,
      'sealing_not_configured',
      'audit_event_not_found',
      'not_sealed',
      'log_damaged',
    ],
  },
];
