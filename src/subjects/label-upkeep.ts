import { sql } from 'drizzle-orm';
import { LABEL_NOTES_MAX_COUNT, LABEL_NOTE_MS } from '../config/limits.ts';
import { compiled } from '../db/sql.ts';
import type { Database } from '../db/database.ts';
import { subjectLabels } from '../db/schema.ts';
import { labelDigest } from './labels.ts';

/** A caller, as far as its label goes. */
export interface Labelled {
  readonly issuer: string | null;
  readonly subject: string | null;
  readonly label: string | null;
}

/** That a subject carries a label, to be written where it is not known as its current one. */
export interface LabelNote {
  readonly issuer: string;
  readonly subject: string;
  readonly label: string;
}

/** What is to be noted of a caller; null for one without a label, and for whoever is no caller. */
export const labelNote = ({ issuer, subject, label }: Labelled): LabelNote | null =>
  issuer === null || subject === null || label === null ? null : { issuer, subject, label };

/**
 * Writes labels that are not the current ones of their subjects; at most one of each subject. The row with a subject's greatest
 * `last_seen_at` is its current label, so that time grows with every change, whatever the clock does.
 */
export const noteLabels = (database: Database, notes: readonly LabelNote[], nowMs: number) =>
  NOTE_LABELS(database, {
    label_notes: JSON.stringify(
      notes.map(({ issuer, subject, label }) => ({ issuer, subject, digest: labelDigest(label) })),
    ),
    label_now: nowMs,
  });

const NOTE_LABELS = compiled(({ build }) => {
  const digest = sql.raw(`e.value ->> 'digest'`);
  const now = sql.placeholder('label_now');
  const ofSubject = sql.raw(`from subject_labels as l
    where l.issuer = e.value ->> 'issuer' and l.subject = e.value ->> 'subject'`);
  return build
    .insert(subjectLabels)
    .select(
      sql`select e.value ->> 'issuer', e.value ->> 'subject', ${digest}, ${now},
            max(${now}, coalesce((select max(l.last_seen_at) + 1 ${ofSubject}), ${now}))
          from json_each(${sql.placeholder('label_notes')}) as e
          where ${digest} is not (select l.label_digest ${ofSubject} order by l.last_seen_at desc limit 1)`,
    )
    .onConflictDoUpdate({
      target: [subjectLabels.issuer, subjectLabels.subject, subjectLabels.label_digest],
      set: { last_seen_at: sql`excluded.last_seen_at` },
    });
});

/** The labels that this isolate has noted lately, so that not every read brings its caller's label. */
export interface LabelMemory {
  /** What a batch that is sent anyway is to note of these callers: one label of each subject, the last. */
  due(callers: readonly Labelled[], nowMs: number): readonly LabelNote[];
  /** They are committed. */
  noted(notes: readonly LabelNote[], nowMs: number): void;
  /** It is not known whether they are committed. */
  forget(notes: readonly LabelNote[]): void;
}

export function createLabelMemory(): LabelMemory {
  const known = new Map<string, { readonly label: string; readonly atMs: number }>();
  const isKnown = (note: LabelNote, nowMs: number): boolean => {
    const last = known.get(subjectKey(note));
    return last?.label === note.label && nowMs >= last.atMs && nowMs - last.atMs < LABEL_NOTE_MS;
  };
  return {
    due: (callers, nowMs) => {
      const notes = callers.map(labelNote).filter((note) => note !== null);
      const last = new Map(notes.map((note) => [subjectKey(note), note]));
      return [...last.values()].filter((note) => !isKnown(note, nowMs));
    },
    noted: (notes, nowMs) => {
      for (const note of notes) {
        const key = subjectKey(note);
        known.delete(key);
        known.set(key, { label: note.label, atMs: nowMs });
        const [oldest] = known.keys();
        if (known.size > LABEL_NOTES_MAX_COUNT && oldest !== undefined) known.delete(oldest);
      }
    },
    forget: (notes) => {
      for (const note of notes) known.delete(subjectKey(note));
    },
  };
}

const subjectKey = ({ issuer, subject }: LabelNote): string => JSON.stringify([issuer, subject]);
