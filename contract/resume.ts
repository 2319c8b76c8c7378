import * as z from 'zod';
import { RESUMED_BECAUSE } from '../src/vocabulary.ts';
import { reason } from '../src/revocation/callers/requests.ts';
import { JSON_BODY, RECORDED } from './failures.ts';
import type { Operation } from './operation.ts';
import { component, count, requestObject, say, success, time, uuid } from './schema.ts';

// The new log of the trail in the place of one that is stopped. Its body is made of the very schema that validates it.

const newLog = component('ResumeLog', requestObject({ reason }), 'Why the log of the trail is resumed.');

const resumedLogAnswer = component(
  'ResumedLogAnswer',
  success(
    z.strictObject({
      number: say(z.int().min(2), 'The number of the new log.'),
      origin: say(z.string(), 'Its name, and the name of its key.'),
      begun_at: time(),
      because: say(z.enum(RESUMED_BECAUSE), 'Why the old log could not go on.'),
      previous: z.strictObject({
        number: say(z.int().min(1), 'The number of the old log.'),
        origin: z.string(),
        size: say(count(), 'How many of its leaves count: those that its last checkpoint covers.'),
        checkpoint: say(z.string().nullable(), 'That checkpoint, a signed note. Null: it had none.'),
        known: say(
          z.string().nullable(),
          'The largest checkpoint that was signed and that D1 does not know of. Null: none is known.',
        ),
      }),
      kept_seq: say(count(), 'Events with a higher `seq` are sealed anew.'),
      gap: say(
        z.strictObject({ from: z.int().min(1), to: z.int().min(1) }).nullable(),
        'The numbers (`seq`) that no event has, both of these included. Null: none are left out.',
      ),
      event_id: say(uuid(), 'The event of the trail, which the first leaf of the new log names.'),
    }),
  ),
  'A new log has begun.',
);

const CHECKPOINT =
  'countersign.example.com/trail\n41200\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n— countersign.example.com/trail …\n';

export const resumeOperations: readonly Operation[] = [
  {
    tag: 'trail',
    method: 'POST',
    pattern: '/api/v1/audit/log',
    id: 'resumeLog',
    summary: 'Resume the log',
    description:
      "Begins a new log of the trail where the current one is stopped, or where its key is lost. The first leaf of the new log names the last checkpoint of the old one, the largest one that is known outside, and the numbers that no event has. It cannot be undone: see the runbook in docs/operate.md first. It takes one role with `tokens: 'any'` and `workspaces: ['*']`.",
    access: 'trail:resume',
    isRecorded: true,
    parameters: [],
    body: {
      description: 'Why.',
      schema: newLog,
      examples: { restored: { reason: 'INC-9: D1 was restored to 10:00 after a bad migration' } },
    },
    successes: [
      {
        status: 201,
        description: 'The new log has begun. The next run of the cron seals it.',
        content: {
          schema: resumedLogAnswer,
          examples: {
            resumed: {
              success: true,
              message: 'A new log has begun. Tell the auditors of the old one.',
              data: {
                number: 2,
                origin: 'countersign.example.com/trail/2',
                begun_at: '2026-11-28T00:44:17.472Z',
                because: 'rolled_back',
                previous: {
                  number: 1,
                  origin: 'countersign.example.com/trail',
                  size: 41_200,
                  checkpoint: CHECKPOINT,
                  known: CHECKPOINT.replace('41200', '43711'),
                },
                kept_seq: 30_122,
                gap: { from: 30_140, to: 32_004 },
                event_id: '2692281b-33b0-482a-b689-002c54a712da',
              },
            },
          },
        },
      },
    ],
    failures: [...JSON_BODY, ...RECORDED, 'log_not_stopped', 'sealing_not_configured'],
  },
];
