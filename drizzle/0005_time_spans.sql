-- A search for times reads the earliest and the latest time of spans of the trail, and skips those that cannot hold one. It is right
-- in whatever order the times stand, since clocks jump. A span is written once, with its last event: one row for fourteen events.
CREATE TABLE `audit_time_spans` (
	`size` integer NOT NULL,
	`last_seq` integer NOT NULL,
	`earliest_at` integer NOT NULL,
	`latest_at` integer NOT NULL,
	PRIMARY KEY(`size`, `last_seq`)
) WITHOUT ROWID;
--> statement-breakpoint
-- The spans of the events that are there already. The trail is read once, in the order of its keys, and nothing is sorted.
INSERT INTO `audit_time_spans`
WITH RECURSIVE trail(ends) AS (SELECT coalesce(max(seq), 0) FROM `audit_events`),
full_spans(last_seq) AS (
  SELECT 16 FROM trail WHERE ends >= 16
  UNION ALL SELECT last_seq + 16 FROM full_spans CROSS JOIN trail WHERE last_seq + 16 <= ends)
SELECT 16, last_seq,
  (SELECT min(occurred_at) FROM `audit_events` WHERE seq > last_seq - 16 AND seq <= last_seq),
  (SELECT max(occurred_at) FROM `audit_events` WHERE seq > last_seq - 16 AND seq <= last_seq)
FROM full_spans;
--> statement-breakpoint
INSERT INTO `audit_time_spans`
SELECT 128, (last_seq + 127) / 128 * 128 AS ends, min(earliest_at), max(latest_at)
FROM `audit_time_spans` WHERE size = 16 GROUP BY ends HAVING count(*) = 8;
--> statement-breakpoint
INSERT INTO `audit_time_spans`
SELECT 1024, (last_seq + 1023) / 1024 * 1024 AS ends, min(earliest_at), max(latest_at)
FROM `audit_time_spans` WHERE size = 128 GROUP BY ends HAVING count(*) = 8;
--> statement-breakpoint
INSERT INTO `audit_time_spans`
SELECT 8192, (last_seq + 8191) / 8192 * 8192 AS ends, min(earliest_at), max(latest_at)
FROM `audit_time_spans` WHERE size = 1024 GROUP BY ends HAVING count(*) = 8;
--> statement-breakpoint
INSERT INTO `audit_time_spans`
SELECT 65536, (last_seq + 65535) / 65536 * 65536 AS ends, min(earliest_at), max(latest_at)
FROM `audit_time_spans` WHERE size = 8192 GROUP BY ends HAVING count(*) = 8;
--> statement-breakpoint
INSERT INTO `audit_time_spans`
SELECT 524288, (last_seq + 524287) / 524288 * 524288 AS ends, min(earliest_at), max(latest_at)
FROM `audit_time_spans` WHERE size = 65536 GROUP BY ends HAVING count(*) = 8;
--> statement-breakpoint
INSERT INTO `audit_time_spans`
SELECT 4194304, (last_seq + 4194303) / 4194304 * 4194304 AS ends, min(earliest_at), max(latest_at)
FROM `audit_time_spans` WHERE size = 524288 GROUP BY ends HAVING count(*) = 8;
--> statement-breakpoint
INSERT INTO `audit_time_spans`
SELECT 33554432, (last_seq + 33554431) / 33554432 * 33554432 AS ends, min(earliest_at), max(latest_at)
FROM `audit_time_spans` WHERE size = 4194304 GROUP BY ends HAVING count(*) = 8;
--> statement-breakpoint
-- The last event of a span writes it; of larger spans that end there too, from the eight that each is made of. A span has its
-- predecessor, so what is not covered by spans is always the end of the trail, which is searched event by event.
CREATE TRIGGER audit_events_time_spans AFTER INSERT ON audit_events WHEN NEW.seq % 16 = 0
BEGIN
  INSERT INTO audit_time_spans
    SELECT 16, NEW.seq, min(occurred_at), max(occurred_at) FROM audit_events
    WHERE seq > NEW.seq - 16 AND seq <= NEW.seq
      AND (NEW.seq = 16 OR EXISTS (SELECT 1 FROM audit_time_spans WHERE size = 16 AND last_seq = NEW.seq - 16))
    GROUP BY NEW.seq HAVING count(*) = 16;
  INSERT INTO audit_time_spans
    SELECT 128, NEW.seq, min(earliest_at), max(latest_at) FROM audit_time_spans
    WHERE NEW.seq % 128 = 0 AND size = 16 AND last_seq > NEW.seq - 128 AND last_seq <= NEW.seq
    GROUP BY size HAVING count(*) = 8;
  INSERT INTO audit_time_spans
    SELECT 1024, NEW.seq, min(earliest_at), max(latest_at) FROM audit_time_spans
    WHERE NEW.seq % 1024 = 0 AND size = 128 AND last_seq > NEW.seq - 1024 AND last_seq <= NEW.seq
    GROUP BY size HAVING count(*) = 8;
  INSERT INTO audit_time_spans
    SELECT 8192, NEW.seq, min(earliest_at), max(latest_at) FROM audit_time_spans
    WHERE NEW.seq % 8192 = 0 AND size = 1024 AND last_seq > NEW.seq - 8192 AND last_seq <= NEW.seq
    GROUP BY size HAVING count(*) = 8;
  INSERT INTO audit_time_spans
    SELECT 65536, NEW.seq, min(earliest_at), max(latest_at) FROM audit_time_spans
    WHERE NEW.seq % 65536 = 0 AND size = 8192 AND last_seq > NEW.seq - 65536 AND last_seq <= NEW.seq
    GROUP BY size HAVING count(*) = 8;
  INSERT INTO audit_time_spans
    SELECT 524288, NEW.seq, min(earliest_at), max(latest_at) FROM audit_time_spans
    WHERE NEW.seq % 524288 = 0 AND size = 65536 AND last_seq > NEW.seq - 524288 AND last_seq <= NEW.seq
    GROUP BY size HAVING count(*) = 8;
  INSERT INTO audit_time_spans
    SELECT 4194304, NEW.seq, min(earliest_at), max(latest_at) FROM audit_time_spans
    WHERE NEW.seq % 4194304 = 0 AND size = 524288 AND last_seq > NEW.seq - 4194304 AND last_seq <= NEW.seq
    GROUP BY size HAVING count(*) = 8;
  INSERT INTO audit_time_spans
    SELECT 33554432, NEW.seq, min(earliest_at), max(latest_at) FROM audit_time_spans
    WHERE NEW.seq % 33554432 = 0 AND size = 4194304 AND last_seq > NEW.seq - 33554432 AND last_seq <= NEW.seq
    GROUP BY size HAVING count(*) = 8;
END;
--> statement-breakpoint
-- A wrong span would hide events from a search. So there is one of each, made with its last event, and it stays as it is.
CREATE TRIGGER audit_time_spans_insert_guard BEFORE INSERT ON audit_time_spans
BEGIN
  SELECT RAISE(ABORT, 'audit_time_spans: the span is there')
    WHERE EXISTS (SELECT 1 FROM audit_time_spans WHERE size IS NEW.size AND last_seq IS NEW.last_seq);
  SELECT RAISE(ABORT, 'audit_time_spans: a span is made with its last event')
    WHERE NEW.last_seq IS NOT (SELECT max(seq) FROM audit_events);
  SELECT RAISE(ABORT, 'audit_time_spans: a span has one of the known sizes')
    WHERE NEW.size IS NULL OR NEW.size NOT IN (16, 128, 1024, 8192, 65536, 524288, 4194304, 33554432) OR NEW.last_seq % NEW.size IS NOT 0;
END;
--> statement-breakpoint
CREATE TRIGGER audit_time_spans_update_guard BEFORE UPDATE ON audit_time_spans
BEGIN
  SELECT RAISE(ABORT, 'audit_time_spans: a span does not change');
END;
--> statement-breakpoint
CREATE TRIGGER audit_time_spans_delete_guard BEFORE DELETE ON audit_time_spans
BEGIN
  SELECT RAISE(ABORT, 'audit_time_spans: nothing is deleted');
END;
