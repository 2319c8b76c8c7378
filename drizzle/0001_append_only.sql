-- The trail is append-only. A CHECK can be switched off by a PRAGMA and INSERT OR REPLACE fires no DELETE trigger, so
-- everything is guarded here, and the guards compare with IS because NULL is a value like any other.

-- A new row may not take the place of another, and must be final or an open attempt.
CREATE TRIGGER audit_events_insert_guard BEFORE INSERT ON audit_events
BEGIN
  SELECT RAISE(ABORT, 'audit_events: the id is taken')
    WHERE NEW.id IS NULL OR EXISTS (SELECT 1 FROM audit_events WHERE id IS NEW.id);
  SELECT RAISE(ABORT, 'audit_events: the seq is taken')
    WHERE EXISTS (SELECT 1 FROM audit_events WHERE seq IS NEW.seq);
  SELECT RAISE(ABORT, 'audit_events: a row is final or attempted')
    WHERE NOT (
      (NEW.status IS 'attempted' AND NEW.settled_at IS NULL AND NEW.outcome IS NULL
        AND NEW.error_code IS NULL AND NEW.upstream_status IS NULL AND NEW.read_key IS NULL)
      OR (NEW.status IN ('success', 'failure') AND NEW.settled_at IS NOT NULL));
  SELECT RAISE(ABORT, 'audit_events: a time is a number of milliseconds')
    WHERE typeof(NEW.occurred_at) IS NOT 'integer' OR typeof(NEW.settled_at) NOT IN ('integer', 'null');
  SELECT RAISE(ABORT, 'audit_events: a row begins with a count of one')
    WHERE NEW.count IS NOT 1 OR NEW.last_at IS NOT NULL;
  SELECT RAISE(ABORT, 'audit_events: the row is over 2048 bytes')
    WHERE 2048 < length(CAST(concat(NEW.id, NEW.action, NEW.status, NEW.actor_type, NEW.actor_issuer, NEW.actor_subject,
      NEW.actor_label, NEW.workspace_uuid, NEW.token_id, NEW.token_name, NEW.request_id, NEW.ip, NEW.user_agent,
      NEW.error_code, NEW.detail, NEW.outcome, NEW.marker, NEW.read_key) AS BLOB)) + 56;
END;
--> statement-breakpoint
-- The sequence is dense: the database numbers rows, and a missing number would show a missing row.
CREATE TRIGGER audit_events_dense_guard AFTER INSERT ON audit_events
BEGIN
  SELECT RAISE(ABORT, 'audit_events: the seq is given by the database')
    WHERE NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM audit_events WHERE seq < NEW.seq);
END;
--> statement-breakpoint
-- An open attempt becomes final once, and a counted read's count and last time grow. Nothing else about a row changes.
CREATE TRIGGER audit_events_update_guard BEFORE UPDATE ON audit_events
BEGIN
  SELECT RAISE(ABORT, 'audit_events: only an attempted row may be settled, once')
    WHERE OLD.read_key IS NULL
      AND (OLD.status IS NOT 'attempted' OR NEW.status NOT IN ('success', 'failure') OR NEW.status IS NULL
        OR typeof(NEW.settled_at) IS NOT 'integer' OR NEW.count IS NOT OLD.count OR NEW.last_at IS NOT OLD.last_at);
  SELECT RAISE(ABORT, 'audit_events: only the count of a counted read grows')
    WHERE OLD.read_key IS NOT NULL
      AND (NEW.status IS NOT OLD.status OR NEW.settled_at IS NOT OLD.settled_at OR NEW.token_id IS NOT OLD.token_id
        OR NEW.upstream_status IS NOT OLD.upstream_status OR NEW.error_code IS NOT OLD.error_code
        OR NEW.outcome IS NOT OLD.outcome OR typeof(NEW.count) IS NOT 'integer' OR NEW.count <= OLD.count
        OR typeof(NEW.last_at) IS NOT 'integer' OR NEW.last_at < coalesce(OLD.last_at, OLD.occurred_at));
  SELECT RAISE(ABORT, 'audit_events: what was recorded does not change')
    WHERE NEW.seq IS NOT OLD.seq OR NEW.id IS NOT OLD.id OR NEW.occurred_at IS NOT OLD.occurred_at
      OR NEW.action IS NOT OLD.action OR NEW.actor_type IS NOT OLD.actor_type
      OR NEW.actor_issuer IS NOT OLD.actor_issuer OR NEW.actor_subject IS NOT OLD.actor_subject
      OR NEW.actor_label IS NOT OLD.actor_label OR NEW.workspace_uuid IS NOT OLD.workspace_uuid
      OR (OLD.token_id IS NOT NULL AND NEW.token_id IS NOT OLD.token_id)
      OR NEW.token_name IS NOT OLD.token_name OR NEW.request_id IS NOT OLD.request_id OR NEW.ip IS NOT OLD.ip
      OR NEW.user_agent IS NOT OLD.user_agent OR NEW.detail IS NOT OLD.detail OR NEW.marker IS NOT OLD.marker
      OR NEW.read_key IS NOT OLD.read_key;
  SELECT RAISE(ABORT, 'audit_events: the row is over 2048 bytes')
    WHERE 2048 < length(CAST(concat(NEW.id, NEW.action, NEW.status, NEW.actor_type, NEW.actor_issuer, NEW.actor_subject,
      NEW.actor_label, NEW.workspace_uuid, NEW.token_id, NEW.token_name, NEW.request_id, NEW.ip, NEW.user_agent,
      NEW.error_code, NEW.detail, NEW.outcome, NEW.marker, NEW.read_key) AS BLOB)) + 56;
END;
--> statement-breakpoint
CREATE TRIGGER audit_events_delete_guard BEFORE DELETE ON audit_events
BEGIN
  SELECT RAISE(ABORT, 'audit_events: nothing is deleted');
END;
