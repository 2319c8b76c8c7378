import { migrations } from './audit-trail.ts';
import { atLeast, atMost, round2, type Bar } from './bars.ts';
import { makeCallers, serviceVariables } from './callers.ts';
import type { App, HourReport, PlayCommand, PrepareCommand } from './hour-report.ts';
import { sized } from './quick.ts';
import { startWorker } from './start-worker.ts';

const CALLERS = 100;
const SECONDS = sized(3_600, 180);
const MUTATIONS = sized(60, 12);
/** (b) is at the end of PipeOps' limits in its second second. */
const AFTERNOON_SECONDS = sized(120, 20);
const CHUNK_SECONDS = 60;
const SEED = 20_260;

/** Workspaces in use: one that all callers list every second, and more of them that are each polled by two. */
const HOURS = [
  { workspaces: 1, readers: CALLERS, everySeconds: 1 },
  { workspaces: 15, readers: 2, everySeconds: 1 },
  { workspaces: 60, readers: 2, everySeconds: 2 },
  { workspaces: 200, readers: 2, everySeconds: 5 },
] as const;

/** A list each 15 s, for each change one call that makes it and one list that shows it: 360 an hour. */
const CALLS_OF_ONE_MAX = SECONDS / 15 + 2 * MUTATIONS;
/** What PipeOps allows, without the reserve for revocation. */
const CALLS_MAX = 900;
/** By then each workspace has been read once: PipeOps answers 70 reads a minute. */
const FIRST_READS_MAX_SECONDS = 180;

const AUDIT_LOG =
  'CREATE TABLE audit_log (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, subject TEXT NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL, status INTEGER NOT NULL)';

/**
 * An hour in which callers list again and again and tokens change at random moments, by a clock that is moved: how often
 * PipeOps is asked, whether anybody is refused, or reads what is no longer so, and how old lists get; with one workspace and with
 * many. A few minutes of the same for (b).
 */
export async function benchHour(): Promise<readonly Bar[]> {
  const callers = await makeCallers(CALLERS);
  const variables = {
    ...serviceVariables({ url: 'https://pipeops.example', credential: CREDENTIAL }, callers),
    KEYS: [callers.publicJwk],
  };
  const names = HOURS.map(({ workspaces }) => `ours-${workspaces}` as const);
  await using worker = await startWorker('bench/worker/hour.ts', variables, [...names, 'afternoon']);
  const play = async (
    app: App,
    hour: { readonly workspaces: number; readonly readers: number; readonly everySeconds: number },
    seconds: number,
    statements: readonly string[],
  ): Promise<HourReport> => {
    const begun = {
      ...hour,
      app,
      statements,
      jwts: callers.jwts,
      workspaces: workspacesOf(hour.workspaces),
      seconds,
      mutations: mutationsIn(seconds),
      seed: SEED,
    };
    await post(`${worker.url}bench/prepare`, begun satisfies PrepareCommand);
    let text = '';
    for (let done = 0; done < seconds; done += CHUNK_SECONDS) {
      const command: PlayCommand = { app, seconds: Math.min(CHUNK_SECONDS, seconds - done) };
      text = await post(`${worker.url}bench/play`, command);
    }
    const report: HourReport = JSON.parse(text);
    return report;
  };
  const startedAt = performance.now();
  const ours: { readonly workspaces: number; readonly report: HourReport }[] = [];
  // One after the other, by one clock each.
  for (const hour of HOURS) {
    ours.push({
      workspaces: hour.workspaces,
      report: await play(`ours-${hour.workspaces}`, hour, SECONDS, migrations()),
    });
  }
  const realSeconds = Math.round((performance.now() - startedAt) / 1000);
  const [one] = HOURS;
  const afternoon = await play('afternoon', one, AFTERNOON_SECONDS, [AUDIT_LOG]);

  console.log(
    `${CALLERS} callers list one workspace every second, or more of them in turns; tokens change ${MUTATIONS} times at random in ${SECONDS} s, by a clock that is moved: ${realSeconds} s here. PipeOps allows 100 calls a minute, 1,000 an hour. In ${AFTERNOON_SECONDS} s (b) asked for ${afternoon.pipeopsCalls} calls: an hour of it would be ${perHour(afternoon)}.`,
  );
  console.table({
    ...Object.fromEntries(ours.map(({ workspaces, report }) => [`ours, ${workspaces} workspaces`, rowOf(report)])),
    '(b) afternoon': rowOf(afternoon),
  });
  return ours.flatMap(({ workspaces, report }) => barsOf(workspaces, report));
}

function barsOf(workspaces: number, report: HourReport): readonly Bar[] {
  const named = (name: string): string => `an hour of ${workspaces} workspace${workspaces === 1 ? '' : 's'}: ${name}`;
  const most = workspaces === 1 ? CALLS_OF_ONE_MAX : CALLS_MAX;
  return [
    atMost(named('PipeOps calls'), report.pipeopsCalls, most),
    atMost(named('calls that PipeOps refused'), report.pipeops429s, 0),
    atMost(named('seconds until each was read'), report.allReadSeconds ?? Number.NaN, FIRST_READS_MAX_SECONDS),
    atMost(named('reads after that not answered 200'), sum(report.failedReads), 0),
    atMost(named('reads older than the pace that do not say so'), report.staleReads, 0),
    atMost(named('reads without a change that was over'), report.blindReads, 0),
    atLeast(named('changes made'), report.mutations - sum(report.failedMutations), MUTATIONS),
  ];
}

/** Of that many workspaces, the same in every run. */
const workspacesOf = (count: number): readonly string[] =>
  Array.from({ length: count }, (_item, index) => `5877a4ae-0000-4000-8000-${String(index).padStart(12, '0')}`);

/** Nothing here looks into it but the service, which wants to know when it ends. */
const CREDENTIAL = ['{"alg":"HS256"}', '{"sub":"bench"}', 'signature']
  .map((part) => Buffer.from(part).toString('base64url'))
  .join('.');

const mutationsIn = (seconds: number): number => Math.round((MUTATIONS * seconds) / SECONDS);

const rowOf = (report: HourReport) => ({
  seconds: report.seconds,
  reads: report.reads,
  'PipeOps calls': report.pipeopsCalls,
  'refused (429)': report.pipeops429s,
  'calls an hour': perHour(report),
  'reads not 200': sum(report.failedReads),
  'told to wait first': report.waits,
  'all read after, s': report.allReadSeconds,
  'average age, s': round2(report.averageReadMs / 1000),
  'oldest read, s': round2(report.oldestReadMs / 1000),
  'marked stale': report.markedReads,
  'too old, unmarked': report.staleReads,
  'reads without a change': report.blindReads,
  changes: report.mutations - sum(report.failedMutations),
  'D1 trips': report.d1Trips,
});

const perHour = ({ pipeopsCalls, seconds }: HourReport): number => Math.round((pipeopsCalls * 3_600) / seconds);

const sum = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((all, one) => all + one, 0);

async function post(url: string, command: object): Promise<string> {
  const response = await fetch(url, { method: 'POST', body: JSON.stringify(command) });
  const text = await response.text();
  if (!response.ok) throw new Error(`the Worker answered ${response.status}: ${text}`);
  return text;
}
