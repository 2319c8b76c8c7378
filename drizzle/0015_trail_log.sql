CREATE TABLE `trail_anchors` (
	`log` integer NOT NULL,
	`target` text NOT NULL,
	`host` text NOT NULL,
	`size` integer NOT NULL,
	`heard_at` integer,
	`tried_at` integer NOT NULL,
	`failures` integer NOT NULL,
	`problem` text,
	PRIMARY KEY(`log`, `target`)
);
--> statement-breakpoint
CREATE TABLE `trail_checkpoints` (
	`log` integer NOT NULL,
	`size` integer NOT NULL,
	`note` text NOT NULL,
	`signed_at` integer NOT NULL,
	`cosignatures` text DEFAULT '' NOT NULL,
	`sent_at` integer,
	PRIMARY KEY(`log`, `size`)
);
--> statement-breakpoint
CREATE TABLE `trail_gaps` (
	`from_seq` integer PRIMARY KEY NOT NULL,
	`to_seq` integer NOT NULL,
	`log` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `trail_leaves` (
	`log` integer NOT NULL,
	`idx` integer NOT NULL,
	`kind` text NOT NULL,
	`seq` integer,
	`hash` text NOT NULL,
	`authentic` integer NOT NULL,
	`entry` text,
	PRIMARY KEY(`log`, `idx`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE INDEX `trail_leaves_seq` ON `trail_leaves` (`seq`) WHERE "trail_leaves"."seq" is not null;--> statement-breakpoint
CREATE TABLE `trail_logs` (
	`number` integer PRIMARY KEY NOT NULL,
	`origin` text NOT NULL,
	`begun_at` integer NOT NULL,
	`size` integer NOT NULL,
	`edge` text NOT NULL,
	`through_seq` integer NOT NULL,
	`published_size` integer NOT NULL,
	`published_at` integer,
	`stopped` text,
	`stopped_at` integer,
	`key` text
);
--> statement-breakpoint
CREATE TABLE `trail_objects` (
	`key` text PRIMARY KEY NOT NULL,
	`body` text NOT NULL
);
--> statement-breakpoint
CREATE TABLE `trail_pending` (
	`seq` integer PRIMARY KEY NOT NULL,
	`awaits` text NOT NULL
);
--> statement-breakpoint
CREATE TABLE `mac_sweeps` (
	`kind` text PRIMARY KEY NOT NULL,
	`position` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `unauthentic_rows` (
	`kind` text NOT NULL,
	`name` text NOT NULL,
	`found_at` integer NOT NULL,
	PRIMARY KEY(`kind`, `name`)
) WITHOUT ROWID;
--> statement-breakpoint
ALTER TABLE `audit_events` ADD `closed_at` integer;--> statement-breakpoint
ALTER TABLE `audit_events` ADD `recorded_mac` text;--> statement-breakpoint
ALTER TABLE `audit_events` ADD `settled_mac` text;--> statement-breakpoint
ALTER TABLE `jwks_cache` ADD `mac` text;--> statement-breakpoint
ALTER TABLE `tokens` ADD `owner_mac` text;
--> statement-breakpoint
-- The guards of the trail, with what the log and the MACs add to them. A MAC of what was recorded never changes, that of the settlement
-- comes with it, and a counted row that the log has closed grows no more.
DROP TRIGGER audit_events_insert_guard;
--> statement-breakpoint
CREATE TRIGGER audit_events_insert_guard BEFORE INSERT ON audit_events
BEGIN
  SELECT RAISE(ABORT, 'audit_events: the id is taken')
    WHERE NEW.id IS NULL OR EXISTS (SELECT 1 FROM audit_events WHERE id IS NEW.id);
  SELECT RAISE(ABORT, 'audit_events: the seq is taken')
    WHERE EXISTS (SELECT 1 FROM audit_events WHERE seq IS NEW.seq);
  SELECT RAISE(ABORT, 'audit_events: a row is final or attempted')
    WHERE NOT (
      (NEW.status IS 'attempted' AND NEW.settled_at IS NULL AND NEW.outcome IS NULL AND NEW.settled_mac IS NULL
        AND NEW.error_code IS NULL AND NEW.upstream_status IS NULL AND NEW.read_key IS NULL)
      OR (NEW.status IN ('success', 'failure') AND NEW.settled_at IS NOT NULL));
  SELECT RAISE(ABORT, 'audit_events: a time is a number of milliseconds')
    WHERE typeof(NEW.occurred_at) IS NOT 'integer' OR typeof(NEW.settled_at) NOT IN ('integer', 'null');
  SELECT RAISE(ABORT, 'audit_events: a row begins with a count of one')
    WHERE NEW.count IS NOT 1 OR NEW.last_at IS NOT NULL OR NEW.closed_at IS NOT NULL;
  SELECT RAISE(ABORT, 'audit_events: the row is over 2048 bytes')
    WHERE 2048 < length(CAST(concat(NEW.id, NEW.action, NEW.status, NEW.actor_type, NEW.actor_issuer, NEW.actor_subject,
      NEW.actor_label, NEW.workspace_uuid, NEW.token_id, NEW.token_name, NEW.request_id, NEW.ip, NEW.user_agent,
      NEW.error_code, NEW.detail, NEW.outcome, NEW.marker, NEW.read_key) AS BLOB)) + 56;
END;
--> statement-breakpoint
DROP TRIGGER audit_events_dense_guard;
--> statement-breakpoint
-- The sequence is dense but for the gaps that a log names: their numbers belong to events that a rollback has taken away, and nobody gets
-- them again.
CREATE TRIGGER audit_events_dense_guard AFTER INSERT ON audit_events
BEGIN
  SELECT RAISE(ABORT, 'audit_events: the seq is given by the database')
    WHERE NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM audit_events WHERE seq < NEW.seq)
      AND NOT EXISTS (SELECT 1 FROM trail_gaps WHERE to_seq = NEW.seq - 1
        AND from_seq = (SELECT coalesce(max(seq), 0) + 1 FROM audit_events WHERE seq < NEW.seq));
  SELECT RAISE(ABORT, 'audit_events: the seq is in a gap') WHERE EXISTS (SELECT 1 FROM trail_gaps WHERE from_seq = NEW.seq);
END;
--> statement-breakpoint
DROP TRIGGER audit_events_update_guard;
--> statement-breakpoint
CREATE TRIGGER audit_events_update_guard BEFORE UPDATE ON audit_events
BEGIN
  SELECT RAISE(ABORT, 'audit_events: only an attempted row may be settled, once')
    WHERE OLD.read_key IS NULL
      AND (OLD.status IS NOT 'attempted' OR NEW.status NOT IN ('success', 'failure') OR NEW.status IS NULL
        OR typeof(NEW.settled_at) IS NOT 'integer' OR NEW.count IS NOT OLD.count OR NEW.last_at IS NOT OLD.last_at
        OR NEW.closed_at IS NOT NULL);
  SELECT RAISE(ABORT, 'audit_events: a closed row does not change')
    WHERE OLD.closed_at IS NOT NULL;
  SELECT RAISE(ABORT, 'audit_events: only the count of a counted read grows')
    WHERE OLD.read_key IS NOT NULL
      AND (NEW.status IS NOT OLD.status OR NEW.settled_at IS NOT OLD.settled_at OR NEW.token_id IS NOT OLD.token_id
        OR NEW.upstream_status IS NOT OLD.upstream_status OR NEW.error_code IS NOT OLD.error_code
        OR NEW.outcome IS NOT OLD.outcome OR NEW.settled_mac IS NOT OLD.settled_mac
        OR NOT (
          (NEW.closed_at IS NULL AND typeof(NEW.count) IS 'integer' AND NEW.count > OLD.count
            AND typeof(NEW.last_at) IS 'integer' AND NEW.last_at >= coalesce(OLD.last_at, OLD.occurred_at))
          OR (typeof(NEW.closed_at) IS 'integer' AND NEW.count IS OLD.count AND NEW.last_at IS OLD.last_at)));
  SELECT RAISE(ABORT, 'audit_events: what was recorded does not change')
    WHERE NEW.seq IS NOT OLD.seq OR NEW.id IS NOT OLD.id OR NEW.occurred_at IS NOT OLD.occurred_at
      OR NEW.action IS NOT OLD.action OR NEW.actor_type IS NOT OLD.actor_type
      OR NEW.actor_issuer IS NOT OLD.actor_issuer OR NEW.actor_subject IS NOT OLD.actor_subject
      OR NEW.actor_label IS NOT OLD.actor_label OR NEW.workspace_uuid IS NOT OLD.workspace_uuid
      OR (OLD.token_id IS NOT NULL AND NEW.token_id IS NOT OLD.token_id)
      OR NEW.token_name IS NOT OLD.token_name OR NEW.request_id IS NOT OLD.request_id OR NEW.ip IS NOT OLD.ip
      OR NEW.user_agent IS NOT OLD.user_agent OR NEW.detail IS NOT OLD.detail OR NEW.marker IS NOT OLD.marker
      OR NEW.read_key IS NOT OLD.read_key OR NEW.recorded_mac IS NOT OLD.recorded_mac;
  SELECT RAISE(ABORT, 'audit_events: the row is over 2048 bytes')
    WHERE 2048 < length(CAST(concat(NEW.id, NEW.action, NEW.status, NEW.actor_type, NEW.actor_issuer, NEW.actor_subject,
      NEW.actor_label, NEW.workspace_uuid, NEW.token_id, NEW.token_name, NEW.request_id, NEW.ip, NEW.user_agent,
      NEW.error_code, NEW.detail, NEW.outcome, NEW.marker, NEW.read_key) AS BLOB)) + 56;
END;
--> statement-breakpoint
-- The leaves of a log are dense from 0 and never change, so no second run can give an index twice.
CREATE TRIGGER trail_leaves_insert_guard BEFORE INSERT ON trail_leaves
BEGIN
  SELECT RAISE(ABORT, 'trail_leaves: the index is not the next one')
    WHERE NEW.idx IS NOT (SELECT coalesce(max(idx), -1) + 1 FROM trail_leaves WHERE log = NEW.log);
END;
--> statement-breakpoint
CREATE TRIGGER trail_leaves_update_guard BEFORE UPDATE ON trail_leaves
BEGIN
  SELECT RAISE(ABORT, 'trail_leaves: nothing changes');
END;
--> statement-breakpoint
CREATE TRIGGER trail_leaves_delete_guard BEFORE DELETE ON trail_leaves
BEGIN
  SELECT RAISE(ABORT, 'trail_leaves: nothing is deleted');
END;
--> statement-breakpoint
-- A log only grows, is published no further than it is assigned, and goes on no more once it is stopped. A number may be left out: a log
-- had it that a rollback has taken away.
CREATE TRIGGER trail_logs_insert_guard BEFORE INSERT ON trail_logs
BEGIN
  SELECT RAISE(ABORT, 'trail_logs: the number is not a higher one')
    WHERE typeof(NEW.number) IS NOT 'integer' OR NEW.number <= (SELECT coalesce(max(number), 0) FROM trail_logs);
END;
--> statement-breakpoint
CREATE TRIGGER trail_logs_update_guard BEFORE UPDATE ON trail_logs
BEGIN
  SELECT RAISE(ABORT, 'trail_logs: a log only grows')
    WHERE NEW.number IS NOT OLD.number OR NEW.origin IS NOT OLD.origin OR NEW.begun_at IS NOT OLD.begun_at
      OR NEW.size < OLD.size OR NEW.published_size < OLD.published_size OR NEW.published_size > NEW.size;
  SELECT RAISE(ABORT, 'trail_logs: a stopped log does not grow')
    WHERE OLD.stopped IS NOT NULL
      AND (NEW.size IS NOT OLD.size OR NEW.published_size IS NOT OLD.published_size OR NEW.stopped IS NULL);
END;
--> statement-breakpoint
CREATE TRIGGER trail_logs_delete_guard BEFORE DELETE ON trail_logs
BEGIN
  SELECT RAISE(ABORT, 'trail_logs: nothing is deleted');
END;
--> statement-breakpoint
CREATE TRIGGER trail_checkpoints_insert_guard BEFORE INSERT ON trail_checkpoints
BEGIN
  SELECT RAISE(ABORT, 'trail_checkpoints: the size is signed')
    WHERE EXISTS (SELECT 1 FROM trail_checkpoints WHERE log = NEW.log AND size = NEW.size);
END;
--> statement-breakpoint
CREATE TRIGGER trail_checkpoints_update_guard BEFORE UPDATE ON trail_checkpoints
BEGIN
  SELECT RAISE(ABORT, 'trail_checkpoints: what was signed does not change')
    WHERE NEW.log IS NOT OLD.log OR NEW.size IS NOT OLD.size OR NEW.note IS NOT OLD.note
      OR NEW.signed_at IS NOT OLD.signed_at;
END;
--> statement-breakpoint
CREATE TRIGGER trail_objects_insert_guard BEFORE INSERT ON trail_objects
BEGIN
  SELECT RAISE(ABORT, 'trail_objects: the key is taken') WHERE EXISTS (SELECT 1 FROM trail_objects WHERE key = NEW.key);
END;
--> statement-breakpoint
CREATE TRIGGER trail_objects_update_guard BEFORE UPDATE ON trail_objects
BEGIN
  SELECT RAISE(ABORT, 'trail_objects: nothing changes');
END;
--> statement-breakpoint
CREATE TRIGGER trail_objects_delete_guard BEFORE DELETE ON trail_objects
BEGIN
  SELECT RAISE(ABORT, 'trail_objects: nothing is deleted');
END;
--> statement-breakpoint
CREATE TRIGGER trail_gaps_insert_guard BEFORE INSERT ON trail_gaps
BEGIN
  SELECT RAISE(ABORT, 'trail_gaps: a gap begins after the last event')
    WHERE NEW.from_seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM audit_events) OR NEW.to_seq < NEW.from_seq;
  SELECT RAISE(ABORT, 'trail_gaps: the gap is there')
    WHERE EXISTS (SELECT 1 FROM trail_gaps WHERE from_seq = NEW.from_seq);
END;
--> statement-breakpoint
CREATE TRIGGER trail_gaps_update_guard BEFORE UPDATE ON trail_gaps
BEGIN
  SELECT RAISE(ABORT, 'trail_gaps: nothing changes');
END;
--> statement-breakpoint
CREATE TRIGGER trail_gaps_delete_guard BEFORE DELETE ON trail_gaps
BEGIN
  SELECT RAISE(ABORT, 'trail_gaps: nothing is deleted');
END;
--> statement-breakpoint
-- Spans of a trail with gaps. No event will ever have a number of a gap, so a span that ends in one is complete once the gap is there, and
-- is written with it. A span that has numbers of a gap holds fewer events. A larger one is made of those smaller ones that hold any.
DROP TRIGGER audit_events_time_spans;
--> statement-breakpoint
CREATE TRIGGER audit_events_time_spans AFTER INSERT ON audit_events WHEN NEW.seq % 16 = 0
BEGIN
  INSERT INTO audit_time_spans
    SELECT 16, NEW.seq, min(occurred_at), max(occurred_at) FROM audit_events
    WHERE seq > NEW.seq - 16 AND seq <= NEW.seq
      AND (NEW.seq = 16 OR EXISTS (SELECT 1 FROM audit_time_spans WHERE size = 16 AND last_seq = NEW.seq - 16))
    GROUP BY NEW.seq HAVING count(*) = 16 - (
      SELECT coalesce(sum(min(to_seq, NEW.seq) - max(from_seq, NEW.seq - 15) + 1), 0) FROM trail_gaps
      WHERE to_seq > NEW.seq - 16 AND from_seq <= NEW.seq);
  INSERT INTO audit_time_spans
    SELECT 128, NEW.seq, min(earliest_at), max(latest_at) FROM audit_time_spans
    WHERE NEW.seq % 128 = 0 AND size = 16 AND last_seq > NEW.seq - 128 AND last_seq <= NEW.seq
    GROUP BY size HAVING max(last_seq) = NEW.seq;
  INSERT INTO audit_time_spans
    SELECT 1024, NEW.seq, min(earliest_at), max(latest_at) FROM audit_time_spans
    WHERE NEW.seq % 1024 = 0 AND size = 128 AND last_seq > NEW.seq - 1024 AND last_seq <= NEW.seq
    GROUP BY size HAVING max(last_seq) = NEW.seq;
  INSERT INTO audit_time_spans
    SELECT 8192, NEW.seq, min(earliest_at), max(latest_at) FROM audit_time_spans
    WHERE NEW.seq % 8192 = 0 AND size = 1024 AND last_seq > NEW.seq - 8192 AND last_seq <= NEW.seq
    GROUP BY size HAVING max(last_seq) = NEW.seq;
  INSERT INTO audit_time_spans
    SELECT 65536, NEW.seq, min(earliest_at), max(latest_at) FROM audit_time_spans
    WHERE NEW.seq % 65536 = 0 AND size = 8192 AND last_seq > NEW.seq - 65536 AND last_seq <= NEW.seq
    GROUP BY size HAVING max(last_seq) = NEW.seq;
  INSERT INTO audit_time_spans
    SELECT 524288, NEW.seq, min(earliest_at), max(latest_at) FROM audit_time_spans
    WHERE NEW.seq % 524288 = 0 AND size = 65536 AND last_seq > NEW.seq - 524288 AND last_seq <= NEW.seq
    GROUP BY size HAVING max(last_seq) = NEW.seq;
  INSERT INTO audit_time_spans
    SELECT 4194304, NEW.seq, min(earliest_at), max(latest_at) FROM audit_time_spans
    WHERE NEW.seq % 4194304 = 0 AND size = 524288 AND last_seq > NEW.seq - 4194304 AND last_seq <= NEW.seq
    GROUP BY size HAVING max(last_seq) = NEW.seq;
  INSERT INTO audit_time_spans
    SELECT 33554432, NEW.seq, min(earliest_at), max(latest_at) FROM audit_time_spans
    WHERE NEW.seq % 33554432 = 0 AND size = 4194304 AND last_seq > NEW.seq - 33554432 AND last_seq <= NEW.seq
    GROUP BY size HAVING max(last_seq) = NEW.seq;
END;
--> statement-breakpoint
-- A wrong span would hide events from a search. So there is one of each, made with its last event or with the gap that it ends in, and it
-- stays as it is.
DROP TRIGGER audit_time_spans_insert_guard;
--> statement-breakpoint
CREATE TRIGGER audit_time_spans_insert_guard BEFORE INSERT ON audit_time_spans
BEGIN
  SELECT RAISE(ABORT, 'audit_time_spans: the span is there')
    WHERE EXISTS (SELECT 1 FROM audit_time_spans WHERE size IS NEW.size AND last_seq IS NEW.last_seq);
  SELECT RAISE(ABORT, 'audit_time_spans: a span is made with its last event')
    WHERE NEW.last_seq IS NOT (SELECT max(seq) FROM audit_events)
      AND NOT EXISTS (SELECT 1 FROM trail_gaps WHERE NEW.last_seq BETWEEN from_seq AND to_seq
        AND from_seq = (SELECT coalesce(max(seq), 0) + 1 FROM audit_events));
  SELECT RAISE(ABORT, 'audit_time_spans: a span has one of the known sizes')
    WHERE NEW.size IS NULL OR NEW.size NOT IN (16, 128, 1024, 8192, 65536, 524288, 4194304, 33554432) OR NEW.last_seq % NEW.size IS NOT 0;
END;
--> statement-breakpoint
-- The spans that end in a gap and hold events before it: one of each size. The last span of the gap is written too, although it holds
-- none, since the next span wants its predecessor. Its times are those that no search asks for.
CREATE TRIGGER trail_gaps_time_spans AFTER INSERT ON trail_gaps
BEGIN
  INSERT INTO audit_time_spans
    SELECT 16, (NEW.from_seq + 14) / 16 * 16, min(occurred_at), max(occurred_at) FROM audit_events
    WHERE (NEW.from_seq - 1) % 16 <> 0 AND (NEW.from_seq + 14) / 16 * 16 <= NEW.to_seq
      AND seq > (NEW.from_seq + 14) / 16 * 16 - 16
      AND (NEW.from_seq <= 16 OR EXISTS (SELECT 1 FROM audit_time_spans WHERE size = 16 AND last_seq = (NEW.from_seq + 14) / 16 * 16 - 16))
    HAVING count(*) > 0;
  INSERT INTO audit_time_spans
    SELECT 128, (NEW.from_seq + 126) / 128 * 128, min(earliest_at), max(latest_at) FROM audit_time_spans
    WHERE (NEW.from_seq - 1) % 128 <> 0 AND (NEW.from_seq + 126) / 128 * 128 <= NEW.to_seq
      AND size = 16 AND last_seq > (NEW.from_seq + 126) / 128 * 128 - 128
    HAVING max(last_seq) >= NEW.from_seq - 1;
  INSERT INTO audit_time_spans
    SELECT 1024, (NEW.from_seq + 1022) / 1024 * 1024, min(earliest_at), max(latest_at) FROM audit_time_spans
    WHERE (NEW.from_seq - 1) % 1024 <> 0 AND (NEW.from_seq + 1022) / 1024 * 1024 <= NEW.to_seq
      AND size = 128 AND last_seq > (NEW.from_seq + 1022) / 1024 * 1024 - 1024
    HAVING max(last_seq) >= NEW.from_seq - 1;
  INSERT INTO audit_time_spans
    SELECT 8192, (NEW.from_seq + 8190) / 8192 * 8192, min(earliest_at), max(latest_at) FROM audit_time_spans
    WHERE (NEW.from_seq - 1) % 8192 <> 0 AND (NEW.from_seq + 8190) / 8192 * 8192 <= NEW.to_seq
      AND size = 1024 AND last_seq > (NEW.from_seq + 8190) / 8192 * 8192 - 8192
    HAVING max(last_seq) >= NEW.from_seq - 1;
  INSERT INTO audit_time_spans
    SELECT 65536, (NEW.from_seq + 65534) / 65536 * 65536, min(earliest_at), max(latest_at) FROM audit_time_spans
    WHERE (NEW.from_seq - 1) % 65536 <> 0 AND (NEW.from_seq + 65534) / 65536 * 65536 <= NEW.to_seq
      AND size = 8192 AND last_seq > (NEW.from_seq + 65534) / 65536 * 65536 - 65536
    HAVING max(last_seq) >= NEW.from_seq - 1;
  INSERT INTO audit_time_spans
    SELECT 524288, (NEW.from_seq + 524286) / 524288 * 524288, min(earliest_at), max(latest_at) FROM audit_time_spans
    WHERE (NEW.from_seq - 1) % 524288 <> 0 AND (NEW.from_seq + 524286) / 524288 * 524288 <= NEW.to_seq
      AND size = 65536 AND last_seq > (NEW.from_seq + 524286) / 524288 * 524288 - 524288
    HAVING max(last_seq) >= NEW.from_seq - 1;
  INSERT INTO audit_time_spans
    SELECT 4194304, (NEW.from_seq + 4194302) / 4194304 * 4194304, min(earliest_at), max(latest_at) FROM audit_time_spans
    WHERE (NEW.from_seq - 1) % 4194304 <> 0 AND (NEW.from_seq + 4194302) / 4194304 * 4194304 <= NEW.to_seq
      AND size = 524288 AND last_seq > (NEW.from_seq + 4194302) / 4194304 * 4194304 - 4194304
    HAVING max(last_seq) >= NEW.from_seq - 1;
  INSERT INTO audit_time_spans
    SELECT 33554432, (NEW.from_seq + 33554430) / 33554432 * 33554432, min(earliest_at), max(latest_at) FROM audit_time_spans
    WHERE (NEW.from_seq - 1) % 33554432 <> 0 AND (NEW.from_seq + 33554430) / 33554432 * 33554432 <= NEW.to_seq
      AND size = 4194304 AND last_seq > (NEW.from_seq + 33554430) / 33554432 * 33554432 - 33554432
    HAVING max(last_seq) >= NEW.from_seq - 1;
  INSERT INTO audit_time_spans
    SELECT 16, NEW.to_seq / 16 * 16, 9007199254740991, -9007199254740991
    WHERE NEW.to_seq / 16 * 16 > (NEW.from_seq + 14) / 16 * 16
      AND (NEW.from_seq = 1 OR EXISTS (SELECT 1 FROM audit_time_spans WHERE size = 16 AND last_seq = (NEW.from_seq + 14) / 16 * 16));
END;
