import { furtherRow, isFurther } from '../trail/caller-rows.ts';
import type { ReadGroup } from './group.ts';

/**
 * The same trips, of which a caller's rows are bounded: a read or a denial for which this minute has no room is counted in the one
 * row of its action and outcome, by a second trip. Whoever was offboarded takes it too, and hears then that it was.
 */
export const createBoundedReads = (reads: ReadGroup): ReadGroup => ({
  send: async (trip, trace) => {
    const answer = await reads.send(trip, trace);
    const { record } = trip;
    if (!answer.ok || !answer.value.blocked || record === null || isFurther(record.row)) return answer;
    const counted = { ...record, row: await furtherRow(record.row), counted: true };
    return await reads.send({ ...trip, record: counted }, trace);
  },
});
