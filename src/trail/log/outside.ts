import { ANCHOR_ANSWER_MAX_BYTES, ANCHOR_TIMEOUT_MS } from '../../config/trail-limits.ts';
import { decodeUtf8, readBody } from '../../kit/bytes.ts';
import { underDeadline, untilAborted } from '../../kit/deadline.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import type { Runtime } from '../../kit/runtime.ts';
import { parseSize, SIZE_TYPE } from '../../tlog/witnessing.ts';
import type { AnchorProblem } from '../../vocabulary.ts';

// How a text is sent to a place outside, and what may come back. Those places are not ours: whatever they answer is bounded, in time and in
// bytes, and no text of theirs leaves this file but for one that is asked for.

/** What a place outside answered. */
export interface OutsideAnswer {
  readonly status: number;
  /** The size that it says to have, with 409; null where it says none. */
  readonly size: number | null;
  /** The body of a 200 that somebody wants to read. */
  readonly text: string;
}

export type OutsideNetwork = Pick<Runtime, 'fetch' | 'timeout' | 'cancel'>;

/**
 * Posts a text to a place outside. It follows no redirect, which would let that place choose another one.
 *
 * Errors: `timeout`, `unreachable`, `redirected`, `unreadable`.
 */
export const post = async (
  runtime: OutsideNetwork,
  { url, body, wantsText }: { readonly url: string; readonly body: string; readonly wantsText: boolean },
): Promise<Result<OutsideAnswer, AnchorProblem>> =>
  await underDeadline(runtime, ANCHOR_TIMEOUT_MS, async (deadline) => {
    let answer: Promise<Response> | undefined;
    try {
      answer = runtime.fetch(url, {
        method: 'POST',
        headers: { 'Content-Type': 'text/plain; charset=utf-8' },
        body,
        redirect: 'manual',
        signal: deadline,
      });
      return await read(await untilAborted(answer, deadline), wantsText, deadline);
    } catch {
      // An answer that comes after all is not read.
      answer?.then(discard, () => {});
      return err(deadline.aborted ? 'timeout' : 'unreachable');
    }
  });

async function read(
  response: Response,
  wantsText: boolean,
  deadline: AbortSignal,
): Promise<Result<OutsideAnswer, AnchorProblem>> {
  const { status } = response;
  if (status >= 300 && status < 400) {
    discard(response);
    return err('redirected');
  }
  const type = (response.headers.get('Content-Type') ?? '').split(';', 1)[0]?.trim().toLowerCase();
  const saysSize = status === 409 && type === SIZE_TYPE;
  if (!saysSize && !(wantsText && status === 200)) {
    discard(response);
    return ok({ status, size: null, text: '' });
  }
  const chunks = response.body === null ? [] : await readBody(response.body, ANCHOR_ANSWER_MAX_BYTES, deadline);
  const text = chunks === null ? null : textOf(chunks);
  if (text === null) return err('unreadable');
  return ok({ status, size: saysSize ? parseSize(text) : null, text: saysSize ? '' : text });
}

const discard = (response: Response): void => void response.body?.cancel().catch(() => {});

function textOf(chunks: readonly Uint8Array[]): string | null {
  try {
    return decodeUtf8(chunks);
  } catch {
    return null;
  }
}
