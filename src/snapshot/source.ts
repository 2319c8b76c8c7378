import { SNAPSHOT_POLLS_MAX_COUNT, SNAPSHOT_POLL_MS, UPSTREAM_TIMEOUT_MS } from '../config/limits.ts';
import { waitFor } from '../deadline.ts';
import type { UpstreamFailure } from '../failures.ts';
import type { Call, PipeOps } from '../pipeops/types.ts';
import { err, ok, type Result } from '../result.ts';
import type { Runtime } from '../runtime.ts';
import type { TripAnswer } from './read-group.ts';
import type { DatedList } from './snapshot.ts';

/** A list that was asked for now. */
export interface Fetched {
  readonly dated: DatedList;
  /** Whether another read of this isolate asked for it. */
  readonly isShared: boolean;
}

export interface ListSource {
  /**
   * Asks PipeOps for a list of the generation that D1 just named, once for all reads of this isolate that want it. Null:
   * another isolate is asking at this moment, so D1 is worth another look after SNAPSHOT_POLL_MS.
   *
   * @param polls how often this read has looked again already.
   */
  fetch(
    workspaceUuid: string,
    answer: Pick<TripAnswer, 'generation' | 'leased'>,
    minBegunMs: number,
    polls: number,
    call: Call,
  ): Promise<Result<Fetched, UpstreamFailure> | null>;
}

interface UnderWay {
  readonly begunAtMs: number;
  readonly answer: Promise<Result<DatedList, UpstreamFailure>>;
}

export function createListSource(
  pipeops: Pick<PipeOps, 'list'>,
  runtime: Pick<Runtime, 'now' | 'after' | 'sleep' | 'background'>,
): ListSource {
  const underWay = new Map<string, UnderWay>();

  const ask = (name: string, workspaceUuid: string, generation: number, call: Call): UnderWay => {
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
    const begun = { begunAtMs, answer };
    underWay.set(name, begun);
    return begun;
  };

  return {
    fetch: async (workspaceUuid, { generation, leased }, minBegunMs, polls, call) => {
      // Only a call of its own generation is joined: an earlier one may lack what has changed since.
      const name = `${workspaceUuid} ${generation}`;
      const joined = underWay.get(name);
      // One that is older than its deadline died with the request that began it.
      const isAlive = joined !== undefined && runtime.now() - joined.begunAtMs <= UPSTREAM_TIMEOUT_MS;
      if (isAlive && joined.begunAtMs >= minBegunMs) {
        const outcome = await waitFor(runtime, UPSTREAM_TIMEOUT_MS, joined.answer);
        if (!outcome.ok) return err({ kind: 'upstream_timeout' });
        return outcome.value.ok ? ok({ dated: outcome.value.value, isShared: true }) : outcome.value;
      }
      if (!leased && polls < SNAPSHOT_POLLS_MAX_COUNT) {
        await runtime.sleep(SNAPSHOT_POLL_MS);
        return null;
      }
      const listed = await ask(name, workspaceUuid, generation, call).answer;
      return listed.ok ? ok({ dated: listed.value, isShared: false }) : listed;
    },
  };
}
