import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { UserError } from '../../local/errors.ts';
import { openIssuer, signJwt } from '../../local/issuer.ts';
import { keepLoopbackDirect } from '../../local/loopback.ts';
import { stateDirOf } from '../../local/settings.ts';
import { openPeople } from '../../local/people/keys.ts';
import { readRunFile, type RunFile } from '../../local/state-dir.ts';
import { readWebhooks } from '../../local/webhook-keys.ts';
import { createClient } from '../../package/client/client.ts';
import { CountersignError } from '../../package/client/failure.ts';
import { goOn, print, watchOutput } from '../output.ts';
import { printable } from '../terminal-text.ts';
import { exchange, type ServiceRequest, type ServiceResponse } from '../service.ts';
import { deliveryOf } from '../webhook/delivery.ts';
import { fillCompany } from './company.ts';
import { DemoError, play, type Asker, type Stage } from './steps.ts';
import { titleOf } from './text.ts';

const JWT_TTL_SECONDS = 10 * 60;
/** The width for a pipe or a file, which have none. */
const CELLS_ELSEWHERE = 100;
const USAGE = `usage: npm run demo   (beside npm start, on the same STATE_DIR)
Plays a first look at the service: mints a token, leaks it, shows how it is revoked, and reads the trail. Then it fills the console: a company\nmints, rotates, leaks and loses tokens. A second run finds that company there.`;
const START_FIRST = 'Start the service first: npm start';

/** Plays a first look at the service that `npm start` runs: real calls, printed as a transcript. */
async function main(): Promise<void> {
  if (readHelp()) {
    print(USAGE);
    return;
  }
  const stateDir = stateDirOf(process.env);
  const run = readRunFile(stateDir);
  if (run === null)
    throw new UserError(`Nothing runs on ${stateDir}. ${START_FIRST} (with the same STATE_DIR, if you set one).`);
  if (run.simulatorUrl === null) {
    throw new UserError(
      `The service at ${run.url} works on a PipeOps that is not the simulator, and the demo would mint tokens there. Start one beside the simulator: npm start without PIPEOPS_API_URL.`,
    );
  }
  print(`Countersign at ${run.url}, beside a PipeOps simulator.`);
  await play(await stageOn(run.url, stateDir));
  await showCompany(run, stateDir);
  print('\nMore: npm run -s audit -- --help, npm run -s webhook -- --help');
}

async function stageOn(origin: string, stateDir: string): Promise<Stage> {
  const webhooks = readWebhooks(stateDir);
  const jwts: Readonly<Record<Asker, string>> = {
    ci: await jwtOf(stateDir, 'ci'),
    auditor: await jwtOf(stateDir, 'auditor'),
  };
  const send = async (request: ServiceRequest): Promise<ServiceResponse> => {
    const response = await exchange(origin, request);
    if (response === null) throw new UserError(`Nothing answers at ${origin}. ${START_FIRST}`);
    return response;
  };
  return {
    ask: async (asker, method, path, body) =>
      await send({
        method,
        path,
        headers: {
          Authorization: `Bearer ${jwts[asker]}`,
          'User-Agent': 'countersign-demo',
          ...(body !== undefined && { 'Content-Type': 'application/json' }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      }),
    report: async (leak) => {
      const message = { source: 'scanner', event: 'token.leaked', data: { ...leak } } as const;
      return await send({
        method: 'POST',
        ...deliveryOf(message, webhooks, `msg_${crypto.randomUUID()}`, new Date()),
      });
    },
    write: (line) => print(line),
    sleep: delay,
    now: Date.now,
    cells: process.stdout.columns || CELLS_ELSEWHERE,
  };
}

/** Fills the service with what the console shows, and says where that is. */
async function showCompany({ url, peopleIssuer }: RunFile, stateDir: string): Promise<void> {
  const programs = await openIssuer(stateDir);
  // Where nobody can sign in, the policy knows no issuer of people.
  const people = peopleIssuer === null ? programs : await openPeople(stateDir, peopleIssuer);
  const webhooks = readWebhooks(stateDir);
  print(`\n${titleOf(7, 'A whole company works with it, by the same API.')}`);
  const filled = await fillCompany({
    peopleIssuer: people.issuer,
    as: ({ subject, role, email, userAgent }) => {
      const caller = { subject, role, ttlSeconds: JWT_TTL_SECONDS, ...(email !== null && { email }) };
      const jwt = async () => await signJwt(email === null ? programs : people, caller, Math.floor(Date.now() / 1_000));
      return createClient({ url, jwt, userAgent, fetch: onItsOwn });
    },
    send: async (message, forged) => {
      const { WEBHOOK_HR, WEBHOOK_SCANNER } = webhooks.secrets;
      const secrets =
        forged === undefined ? webhooks.secrets : { WEBHOOK_HR: WEBHOOK_SCANNER, WEBHOOK_SCANNER: WEBHOOK_HR };
      const delivery = deliveryOf(message, { ...webhooks, secrets }, `msg_${crypto.randomUUID()}`, new Date());
      const headers = { ...delivery.headers, Connection: 'close' };
      const answer = await exchange(url, { method: 'POST', ...delivery, headers });
      if (answer === null) throw new UserError(`Nothing answers at ${url}. ${START_FIRST}`);
      return answer;
    },
  });
  print(
    filled === null
      ? '   It is there since an earlier run, and has worked on.'
      : `   ${filled.owners} owners have got ${filled.tokens} tokens, and rotated, changed, leaked and lost some of them.`,
  );
  if (peopleIssuer !== null) print(`   See it in the console: ${url}/console`);
}

/**
 * Sends a request on a connection of its own. workerd ends one that was idle for 5 s, and on a machine with more to do Node takes it up
 * just then.
 */
const onItsOwn = async (url: string, init: RequestInit): Promise<Response> => {
  const headers = new Headers(init.headers);
  headers.set('Connection', 'close');
  return await fetch(url, { ...init, headers });
};

const jwtOf = async (stateDir: string, role: Asker): Promise<string> =>
  await signJwt(
    await openIssuer(stateDir),
    { subject: `local-${role}`, role, ttlSeconds: JWT_TTL_SECONDS },
    Math.floor(Date.now() / 1_000),
  );

/** @throws UserError for anything but `--help`. */
function readHelp(): boolean {
  try {
    return parseArgs({ options: { help: { type: 'boolean', short: 'h', default: false } } }).values.help;
  } catch (error) {
    throw new UserError(USAGE, { cause: error });
  }
}

keepLoopbackDirect();
watchOutput(0, goOn);
try {
  await main();
} catch (error) {
  if (!(error instanceof DemoError || error instanceof UserError || error instanceof CountersignError)) throw error;
  console.error(printable(error.message));
  process.exitCode = 1;
}
