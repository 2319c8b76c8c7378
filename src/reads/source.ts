import { UPSTREAM_TIMEOUT_MS } from '../config/limits.ts';
import { waitFor } from '../kit/deadline.ts';
import type { UpstreamFailure } from '../failures.ts';
import type { Call, PipeOps } from '../pipeops/types.ts';
import { err, ok, type Result } from '../kit/result.ts';
import type { Runtime } from '../kit/runtime.ts';
import type { DatedList } from './snapshot.ts';

/** A list that was asked for now. */
export interface Fetched {
  readonly dated: DatedList;
  /** Whether another read of this isolate asked for it. */
  readonly isShared: boolean;
}

/** Asks PipeOps for lists, once for all reads of this isolate that want one of the same generation. */
export interface ListSource {
  /**
   * The list that another read of this isolate is asking for, if that call is of this very generation, since an earlier one may
   * lack what has changed since, and was begun at `minBegunMs` or later. Null: there is none.
   */
  join(workspaceUuid: string, generation: number, minBegunMs: number): Promise<Result<Fetched, UpstreamFailure>> | null;
  /** @param generation the one that D1 just named. */
  ask(workspaceUuid: string, generation: number, call: Call): Promise<Result<Fetched, UpstreamFailure>>;
}

interface UnderWay {
  readonly begunAtMs: number;
  readonly answer: Promise<Result<DatedList, UpstreamFailure>>;
}

export function createListSource(
  pipeops: Pick<PipeOps, 'list'>,
  runtime: Pick<Runtime, 'now' | 'after' | 'background'>,
): ListSource {
  const underWay = new Map<string, UnderWay>();
  const nameOf = (workspaceUuid: string, generation: number): string => `${workspaceUuid} ${generation}`;

  return {
    join: (workspaceUuid, generation, minBegunMs) => {
      const joined = underWay.get(nameOf(workspaceUuid, generation));
      // One that is older than its deadline died with the request that began it.
      const isAlive = joined !== undefined && runtime.now() - joined.begunAtMs <= UPSTREAM_TIMEOUT_MS;
      if (!isAlive || joined.begunAtMs < minBegunMs) return null;
      return (async () => {
        const outcome = await waitFor(runtime, UPSTREAM_TIMEOUT_MS, joined.answer);
        if (!outcome.ok) return err({ kind: 'upstream_timeout' });
        return outcome.value.ok ? ok({ dated: outcome.value.value, isShared: true }) : outcome.value;
      })();
    },

    ask: async (workspaceUuid, generation, call) => {
      const name = nameOf(workspaceUuid, generation);
      const begunAtMs = runtime.now();
      const answer = (async (): Promise<Result<DatedList, UpstreamFailure>> => {
        try {
          const listed = await pipeops.list(workspaceUuid, call);
          return listed.ok ? ok({ list: listed.value.data, generation, begunAtMs }) : listed;
        } finally {
          if (underWay.get(name)?.begunAtMs === begunAtMs) underWay.delete(name);
        }
      })();
      // Others wait for it too, so it must not end with the request that began it.
      runtime.background(answer);
      underWay.set(name, { begunAtMs, answer });
      const listed = await answer;
      return listed.ok ? ok({ dated: listed.value, isShared: false }) : listed;
    },
  };
}
