import type { ResumedLog } from '../../package/client/types.ts';
import { confirm } from '../confirm.ts';
import { printable } from '../terminal-text.ts';
import { flag, text, UsageError } from '../usage.ts';
import { type Command, defineCommand } from './command.ts';
import type { Facts } from './result.ts';

const WARNING = `This ends the current log of the trail for good and begins another one, which every auditor sees and nobody can undo.
Find out first why the log is stopped: /docs/operate#the-log-of-the-trail-is-stopped on your service.`;

const resume = defineCommand({
  words: 'trail resume',
  about: `Begins a new log of the trail where the current one is stopped, or its key is lost. At a terminal it asks before it does.
--yes does not ask.`,
  usage: '--reason TEXT [--yes]',
  options: { reason: text, yes: flag },
  role: 'admin',
  permission: "trail:resume in a role with tokens: 'any' and workspaces: ['*']",
  prepare: ({ values: { reason, yes } }) => {
    if (!reason) throw new UsageError('trail resume needs --reason TEXT: it stands in the trail and in the log.');
    return async (client, output) => {
      if (!yes && process.stdin.isTTY) await confirm(WARNING, 'resume');
      const log = await client.audit.resumeLog({ reason });
      await output.facts(log, () => factsOf(log));
      if (!output.isJson) for (const line of adviceOn(log)) output.notice(line);
    };
  },
});

const BECAUSE: Readonly<Record<string, string>> = {
  rolled_back: 'D1 was rolled back',
  forked: 'what was stored is not what was assigned',
  key_lost: 'its key is lost',
};

const factsOf = ({ number, origin, begun_at, because, previous, kept_seq, gap, event_id }: ResumedLog): Facts => [
  ['LOG', printable(`${number}, ${origin}`)],
  ['BEGUN', printable(begun_at)],
  ['BECAUSE', printable(BECAUSE[because] ?? because)],
  ['FOLLOWS', printable(`log ${previous.number}, ${previous.origin}, of which ${previous.size} leaves count`)],
  [
    'KNOWN',
    previous.known === null
      ? 'nothing beyond that'
      : printable(`a signed checkpoint of ${sizeIn(previous.known)} leaves`),
  ],
  ['SEALED', `events with a seq above ${kept_seq} are sealed anew`],
  ['GAP', gap === null ? 'none' : `no event has the seq ${gap.from} to ${gap.to}`],
  ['EVENT', printable(event_id)],
];

/** The second line of a checkpoint is its size. */
const sizeIn = (note: string): string => note.split('\n')[1] ?? '?';

function adviceOn({ origin, previous, gap }: ResumedLog): readonly string[] {
  return [
    `Tell whoever audits ${previous.origin}: it ends at ${previous.size} leaves and ${origin} follows it, with the same public key unless that was lost.`,
    ...(previous.known === null
      ? []
      : [
          'Keep the files beyond that, and whatever exports hold the events in them: they are evidence of what D1 has lost.',
        ]),
    ...(gap === null
      ? []
      : [
          `Whoever follows the trail by its cursor has a hole from ${gap.from} to ${gap.to} that is no loss of theirs.`,
        ]),
    'The next run of the cron seals: `status` then shows no trouble with the log any more.',
  ].map(printable);
}

export const TRAIL_COMMANDS: readonly Command[] = [resume];
