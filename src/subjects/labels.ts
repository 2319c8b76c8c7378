import { sql, type SQL } from 'drizzle-orm';
import { ACTOR_LABEL_MAX_BYTES, LABEL_NOTE_MS, LABEL_NOTES_MAX_COUNT } from '../config/limits.ts';
import type { Database } from '../db/database.ts';
import { subjectLabels } from '../db/schema.ts';
import { compiled } from '../db/sql.ts';
import { createBoundedMap } from '../kit/bounded-map.ts';
import { byteLength } from '../kit/bytes.ts';
import { sha256HexSync } from '../kit/digest.ts';
import { replaceControls } from '../kit/text.ts';

/**
 * Gives a label the form in which labels are compared: an e-mail address is the same whatever the case of its letters. A label may have
 * any length, so a digest stands for a long one. What a long label begins with does not say whose it is.
 */
export function labelKey(label: string): string {
  const key = replaceControls(label.toWellFormed()).normalize('NFC').toLowerCase();
  return byteLength(key) <= ACTOR_LABEL_MAX_BYTES ? key : `sha256:${sha256HexSync(key)}`;
}

/** The digest by which `subject_labels` knows a label. */
export const labelDigest = (label: string): string => sha256HexSync(labelKey(label));

/** A caller and its label. */
export interface Labelled {
  readonly issuer: string | null;
  readonly subject: string | null;
  readonly label: string | null;
}

/** Says that a subject carries a label. */
export interface LabelNote {
  readonly issuer: string;
  readonly subject: string;
  readonly label: string;
}

/** What is to be noted of a caller; null: it has no label, or is no caller. */
export const labelNote = ({ issuer, subject, label }: Labelled): LabelNote | null =>
  issuer === null || subject === null || label === null ? null : { issuer, subject, label };

/**
 * Writes the labels that are not the current ones of their subjects, at most one label of each subject. The row with the greatest
 * `last_seen_at` of a subject is its current label, so that time grows with every change, whatever the clock does.
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
  /** What a batch that is sent anyway is to note of these callers: the last label of each subject. */
  due(callers: readonly Labelled[], nowMs: number): readonly LabelNote[];
  /** D1 has committed these notes. */
  noted(notes: readonly LabelNote[], nowMs: number): void;
  /** Nobody knows whether D1 has committed these notes. */
  forget(notes: readonly LabelNote[]): void;
}

export function createLabelMemory(): LabelMemory {
  /** `label` is null where nobody knows which one D1 has. `turn` tells when that was learnt. */
  const known = createBoundedMap<{ readonly label: string | null; readonly atMs: number; readonly turn: number }>({
    maxCount: LABEL_NOTES_MAX_COUNT,
  });
  /** In which turn each note was given out. */
  const givenIn = new WeakMap<LabelNote, number>();
  let turn = 0;
  const isKnown = (note: LabelNote, nowMs: number): boolean => {
    const last = known.get(subjectKey(note));
    return last?.label === note.label && nowMs >= last.atMs && nowMs - last.atMs < LABEL_NOTE_MS;
  };
  /** Whether another label of the subject was under way beside this one: D1 may have run the two batches in either order. */
  const isBeside = (note: LabelNote): boolean => {
    const last = known.get(subjectKey(note));
    return last !== undefined && last.label !== note.label && last.turn > (givenIn.get(note) ?? turn);
  };
  const learn = (note: LabelNote, label: string | null, atMs: number): void => {
    turn += 1;
    known.set(subjectKey(note), { label, atMs, turn });
  };
  return {
    due: (callers, nowMs) => {
      const notes = callers.map(labelNote).filter((note) => note !== null);
      const last = new Map(notes.map((note) => [subjectKey(note), note]));
      const due = [...last.values()].filter((note) => !isKnown(note, nowMs));
      for (const note of due) givenIn.set(note, turn);
      return due;
    },
    noted: (notes, nowMs) => {
      for (const note of notes) learn(note, isBeside(note) ? null : note.label, nowMs);
    },
    forget: (notes) => {
      for (const note of notes) learn(note, null, 0);
    },
  };
}

const subjectKey = ({ issuer, subject }: LabelNote): string => JSON.stringify([issuer, subject]);

/**
 * Tells whom a label means, as a query with the columns `issuer`, `subject` and `found`.
 *
 * It looks at everybody who ever had the label: by `subject_labels`, or, from before that was kept, by a token that was minted under the
 * label. A subject carries the label if it is the one that the subject had last. A subject that is known by tokens alone carries it too,
 * since nothing says otherwise.
 *
 * `owner` is whoever is meant: of each issuer those who carry the label or, where nobody does, those who carried it last and those who
 * minted under it. All others are `also_carried`: the label is somebody else's by now, and they are not who is meant.
 *
 * @param key the label, as `labelKey` makes it.
 * @param former whether everybody who ever had the label is meant.
 */
export const meantByLabel = (key: string, former: boolean): SQL => sql`
  with holding as (
    select l.issuer, l.subject, l.last_seen_at, 0 as minted, not exists (${labelSince('l')} and n.last_seen_at > l.last_seen_at) as carries
      from subject_labels as l where l.label_digest = ${sha256HexSync(key)}
    union all
    select m.issuer, m.subject, null, 1, not exists (${labelSince('m')})
      from (select distinct owner_issuer as issuer, owner_subject as subject from tokens
        where owner_label = ${key} and owner_issuer is not null and owner_subject is not null) as m),
  person as (
    select issuer, subject, max(last_seen_at) as last_seen_at, max(minted) as minted, max(carries) as carries
      from holding group by issuer, subject),
  among as (
    select issuer, subject, last_seen_at, minted, carries,
        max(carries) over (partition by issuer) as is_carried, max(last_seen_at) over (partition by issuer) as last
      from person)
  select issuer, subject,
      case when ${former ? 1 : 0} or iif(is_carried, carries, minted or last_seen_at = last) then 'owner' else 'also_carried' end as found
    from among`;

const labelSince = (of: 'l' | 'm'): SQL =>
  sql.raw(`select 1 from subject_labels as n where n.issuer = ${of}.issuer and n.subject = ${of}.subject`);
