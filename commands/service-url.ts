import { UserError } from '../local/errors.ts';
import { printable } from './terminal-text.ts';

export interface ServiceUrl {
  readonly origin: string;
  /** Its packets do not leave this machine. */
  readonly isLoopback: boolean;
  readonly isEncrypted: boolean;
}

/** @throws UserError for what is no URL of a service. */
export function readServiceUrl(text: string): ServiceUrl {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new UserError(
      `${JSON.stringify(printable(text))} is no URL of a service, such as https://countersign.example.com.`,
    );
  }
  const isLoopback = /^(127(\.\d+){3}|localhost|\[::1\])$/.test(url.hostname);
  return { origin: url.origin, isLoopback, isEncrypted: url.protocol === 'https:' };
}
