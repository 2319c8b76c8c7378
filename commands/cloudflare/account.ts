import * as z from 'zod';
import { UserError } from '../../local/errors.ts';
import { runWrangler, wranglerError, type WranglerOptions, type WranglerRun } from '../../local/wrangler.ts';
import type { Section } from './section.ts';

/** The Cloudflare account that a section is deployed to. */
export interface Cloudflare {
  readonly section: Section;
  readonly account: { readonly id: string; readonly name: string };
  /** Runs wrangler for this section and this account. */
  readonly wrangler: (
    args: readonly string[],
    options?: Pick<WranglerOptions, 'input' | 'output'>,
  ) => Promise<WranglerRun>;
}

type Variables = Readonly<Record<string, string | undefined>>;

const WhoAmI = z.object({
  loggedIn: z.boolean(),
  accounts: z.array(z.object({ id: z.string(), name: z.string() })).default([]),
});

/**
 * Finds out which account wrangler is logged in to. On a terminal it starts the login if there is none.
 *
 * @param variables the environment that wrangler is given: HOME with its login, or CLOUDFLARE_API_TOKEN.
 * @throws UserError if there is no login, or if it reaches several accounts and nothing says which is meant.
 */
export async function connect(section: Section, variables: Variables, mayAsk: boolean): Promise<Cloudflare> {
  const { configPath, name } = section;
  const options = { configPath, section: name, variables };
  const whoAmI = async (): Promise<z.infer<typeof WhoAmI>> =>
    readWhoAmI(await runWrangler(['whoami', '--json'], options));

  let known = await whoAmI();
  if (!known.loggedIn && mayAsk) {
    await runWrangler(['login'], { ...options, output: 'shown' });
    known = await whoAmI();
  }
  if (!known.loggedIn) throw new UserError(`wrangler is not logged in to Cloudflare. ${LOGIN}`);
  const account = chooseAccount(known.accounts, section.accountId ?? variables['CLOUDFLARE_ACCOUNT_ID'] ?? null);
  return {
    section,
    account,
    wrangler: async (args, more = {}) =>
      await runWrangler(args, {
        ...options,
        ...more,
        variables: { ...variables, CLOUDFLARE_ACCOUNT_ID: account.id },
      }),
  };
}

const LOGIN =
  'Run `npx wrangler login --config wrangler.toml`, or set CLOUDFLARE_API_TOKEN to an API token that may edit Workers Scripts, D1 and Workers R2 Storage and read the account.';

function readWhoAmI(run: WranglerRun): z.infer<typeof WhoAmI> {
  // Without a login wrangler writes its JSON too, and ends with 1.
  const json = /^\{[\s\S]*\}$/m.exec(run.stdout)?.[0];
  const answer = WhoAmI.safeParse(json === undefined ? null : parse(json));
  if (answer.success && (run.exitCode === 0 || !answer.data.loggedIn)) return answer.data;
  throw new UserError(`Cloudflare does not say whose login this is: ${wranglerError(run)}. ${LOGIN}`);
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return null;
  }
}

function chooseAccount(accounts: readonly Cloudflare['account'][], id: string | null): Cloudflare['account'] {
  // A token may use an account that it may not list.
  if (id !== null) return accounts.find((account) => account.id === id) ?? { id, name: 'an account without a name' };
  const [only, ...others] = accounts;
  if (only === undefined) throw new UserError(`This login reaches no Cloudflare account. ${LOGIN}`);
  if (others.length === 0) return only;
  const list = accounts.map((account) => `${account.name}: CLOUDFLARE_ACCOUNT_ID=${account.id}`).join('\n  ');
  throw new UserError(
    `This login reaches ${accounts.length} accounts. Set the variable of the one that is meant, or account_id in wrangler.toml:\n  ${list}`,
  );
}
