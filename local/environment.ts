import { keepLoopbackDirect } from './loopback.ts';

/** A local run talks to this machine alone. wrangler would announce that it uses the proxy, and hand requests to it. */
const PROXIES = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY'];

/** The environment of `npm start`, in which it and what it starts reach this machine alone, and write nothing under HOME. */
export const environment = process.env;

keepLoopbackDirect(environment);
for (const name of PROXIES) {
  delete environment[name];
  delete environment[name.toLowerCase()];
}
// wrangler writes a log of its own under HOME, and prints a stack trace where it cannot.
environment['WRANGLER_WRITE_LOGS'] = 'false';
