import path from 'node:path';
import type { LocalWebhooks } from '../../local/webhook-keys.ts';

/** Where a command runs: installed somewhere, or in a checkout with a service of `npm start` beside it. */
export interface Host {
  /** How a user calls a command, such as `countersign audit`. */
  call(command: string): string;
  /** The service, if the user names none. Null: one must be named. */
  defaultUrl(): string | null;
  /** Makes a JWT for a service on this machine. Null: this host can make none. */
  localJwt(role: LocalRole): (() => Promise<string>) | null;
  /** The keys with which the senders of a service on this machine sign. Null: this host has none. */
  webhookKeys(): LocalWebhooks | null;
  /** The file with the verifier key of the log of a service on this machine. Null: this host knows of none. */
  localVerifierFile(): string | null;
  /** How to come by a JWT of a local service, for messages. */
  readonly localJwtAdvice: string;
  /** A path that a user names, from the folder where the user stands. */
  pathOf(named: string): string;
  /** The issuer that `--subject` means without `--issuer`. Null: `--issuer` is needed. */
  readonly defaultIssuer: string | null;
}

/** A role of the policy of `npm start`. */
export type LocalRole = 'auditor' | 'admin';

/** The command as a package installs it. */
export const INSTALLED: Host = {
  call: (command) => `countersign ${command}`.trimEnd(),
  defaultUrl: () => null,
  localJwt: () => null,
  webhookKeys: () => null,
  localVerifierFile: () => null,
  localJwtAdvice: '',
  pathOf: (named) => path.resolve(named),
  defaultIssuer: null,
};
