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

/** A list each 15 s, for each change one call that makes it and one list that shows it: 360 an hour. */
const CALLS_MAX = SECONDS / 15 + 2 * MUTATIONS;

const AUDIT_LOG =
  'CREATE TABLE audit_log (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, subject TEXT NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL, status INTEGER NOT NULL)';

/**
 * An hour in which 100 callers list every second and tokens change at random moments, by a clock that is moved: how often
 * PipeOps is asked, and whether anybody is refused, or reads what is no longer so. A few minutes of the same for (b).
 */
export async function benchHour(): Promise<readonly Bar[]> {
  const callers = await makeCallers(CALLERS);
  const variables = {
    ...serviceVariables({ url: 'https://pipeops.example', credential: CREDENTIAL }, callers),
    KEYS: [callers.publicJwk],
  };
  await using worker = await startWorker('bench/worker/hour.ts', variables, ['ours', 'afternoon']);
  const play = async (app: App, seconds: number, statements: readonly string[]): Promise<HourReport> => {
    const begun = { app, statements, jwts: callers.jwts, seconds, mutations: mutationsIn(seconds), seed: SEED };
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
  const ours = await play('ours', SECONDS, migrations());
  const realSeconds = Math.round((performance.now() - startedAt) / 1000);
  const afternoon = await play('afternoon', AFTERNOON_SECONDS, [AUDIT_LOG]);

  console.log(
    `${CALLERS} callers list every second, tokens change ${MUTATIONS} times at random in ${SECONDS} s, by a clock that is moved: ${realSeconds} s here. PipeOps allows 100 calls a minute, 1,000 an hour. In ${AFTERNOON_SECONDS} s (b) asked for ${afternoon.pipeopsCalls} calls: an hour of it would be ${perHour(afternoon)}.`,
  );
  console.table({ ours: rowOf(ours), '(b) afternoon': rowOf(afternoon) });
  return [
    atMost('an hour of 100 callers: PipeOps calls', ours.pipeopsCalls, CALLS_MAX),
    atMost('callers that saw a 429', ours.callersWith429, 0),
    atMost('reads not answered 200', sum(ours.failedReads), 0),
    atMost('reads older than 15 s', ours.staleReads, 0),
    atMost('reads without a change that was over', ours.blindReads, 0),
    atLeast('changes made', ours.mutations - sum(ours.failedMutations), MUTATIONS),
  ];
}

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
  'callers with a 429': report.callersWith429,
  'oldest read, s': round2(report.oldestReadMs / 1000),
  'reads too old': report.staleReads,
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
