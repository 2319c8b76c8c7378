-- A workspace's UUID has one spelling now: small letters, with hyphens. Before, each spelling that a caller, a policy or a webhook used was a
-- workspace of its own here. What is keyed by it is merged; the trail stays as it was written. All of this may be run again: it
-- changes nothing where nothing is spelled otherwise.

-- Rows of the trail that are spelled otherwise are found by this, however many spellings there are. It reads the trail once and holds next
-- to nothing: the cheap questions come first.
CREATE INDEX IF NOT EXISTS `audit_events_respelled` ON `audit_events` (lower(replace(workspace_uuid, '-', ''))) WHERE (workspace_uuid <> lower(workspace_uuid) or workspace_uuid not glob '????????-????-????-????-????????????') and length(replace(workspace_uuid, '-', '')) = 32;
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `workspaces_respelled` (`spelling` text PRIMARY KEY NOT NULL, `workspace` text NOT NULL) WITHOUT ROWID;
--> statement-breakpoint
INSERT INTO `workspaces_respelled`
WITH spellings(spelling) AS (
  SELECT workspace_uuid FROM `tokens` UNION SELECT workspace_uuid FROM `workspaces` UNION SELECT workspace_uuid FROM `snapshots`
  UNION SELECT workspace_uuid FROM `revocation_orders`),
all_spellings(spelling) AS (
  SELECT spelling FROM spellings UNION SELECT workspace_uuid FROM `webhook_items` WHERE workspace_uuid IS NOT NULL
  UNION SELECT scope FROM `upstream_limits`),
digits(spelling, d) AS (
  SELECT spelling, lower(replace(spelling, '-', '')) FROM all_spellings
  WHERE length(replace(spelling, '-', '')) = 32 AND replace(spelling, '-', '') NOT GLOB '*[^0-9A-Fa-f]*'),
uuids(spelling, workspace) AS (
  SELECT spelling, substr(d, 1, 8) || '-' || substr(d, 9, 4) || '-' || substr(d, 13, 4) || '-' || substr(d, 17, 4) || '-' || substr(d, 21, 12)
  FROM digits)
SELECT spelling, workspace FROM uuids WHERE spelling <> workspace
  AND NOT EXISTS (SELECT 1 FROM `workspaces_respelled` AS known WHERE known.spelling = uuids.spelling);
--> statement-breakpoint
-- A token that stood under several spellings was made under one of them and found in PipeOps' list under the others. It is its owner's, it
-- began with the first row, and an end that is proven ends it. One that a list only lacked, once, ends it where no row has it alive.
INSERT INTO `tokens` (`workspace_uuid`, `token_id`, `owner_issuer`, `owner_subject`, `owner_label`, `marker`, `create_event_id`, `created_at`,
  `expires_at`, `revoked_at`, `ended_by`, `unseen_at`, `token_prefix`, `fingerprint`, `fingerprint_key_id`, `suspended_by`)
WITH spelled AS MATERIALIZED (
  SELECT coalesce(r.workspace, t.workspace_uuid) AS workspace, t.*
  FROM `tokens` AS t LEFT JOIN `workspaces_respelled` AS r ON r.spelling = t.workspace_uuid
  WHERE (coalesce(r.workspace, t.workspace_uuid), t.token_id) IN (
    SELECT other.workspace, o.token_id FROM `workspaces_respelled` AS other JOIN `tokens` AS o ON o.workspace_uuid = other.spelling)),
reasons AS MATERIALIZED (
  SELECT s.workspace, s.token_id, json_group_array(DISTINCT why.value) AS suspended_by
  FROM spelled AS s JOIN json_each(CASE WHEN json_valid(s.suspended_by) THEN s.suspended_by ELSE '["offboarding"]' END) AS why
  WHERE s.suspended_by IS NOT NULL GROUP BY s.workspace, s.token_id),
merged AS (
  SELECT workspace, token_id, row_number() OVER owned AS place,
    first_value(owner_issuer) OVER owned AS owner_issuer, first_value(owner_subject) OVER owned AS owner_subject,
    first_value(owner_label) OVER owned AS owner_label, first_value(marker) OVER owned AS marker,
    first_value(create_event_id) OVER owned AS create_event_id, first_value(expires_at) OVER owned AS expires_at,
    min(created_at) OVER (PARTITION BY workspace, token_id) AS created_at,
    first_value(revoked_at) OVER ending AS revoked_at, first_value(ended_by) OVER ending AS ended_by,
    first_value(unseen_at) OVER ending AS unseen_at,
    first_value(token_prefix) OVER (PARTITION BY workspace, token_id ORDER BY token_prefix IS NULL, created_at) AS token_prefix,
    first_value(fingerprint) OVER kept AS fingerprint, first_value(fingerprint_key_id) OVER kept AS fingerprint_key_id
  FROM spelled
  WINDOW owned AS (PARTITION BY workspace, token_id ORDER BY owner_issuer IS NULL, marker IS NULL, created_at, workspace_uuid),
    ending AS (PARTITION BY workspace, token_id ORDER BY
      CASE ended_by WHEN 'acknowledged' THEN 0 WHEN 'absent' THEN 1 WHEN 'listed' THEN 2 ELSE 3 + (revoked_at IS NOT NULL) END,
      unseen_at IS NOT NULL, unseen_at DESC, revoked_at),
    kept AS (PARTITION BY workspace, token_id ORDER BY fingerprint IS NULL, created_at, workspace_uuid))
SELECT m.workspace, m.token_id, m.owner_issuer, m.owner_subject, m.owner_label, m.marker, m.create_event_id, m.created_at, m.expires_at,
  m.revoked_at, m.ended_by, m.unseen_at, m.token_prefix, m.fingerprint, m.fingerprint_key_id, reasons.suspended_by
FROM merged AS m LEFT JOIN reasons ON reasons.workspace = m.workspace AND reasons.token_id = m.token_id
WHERE m.place = 1
ON CONFLICT (`workspace_uuid`, `token_id`) DO UPDATE SET
  owner_issuer = excluded.owner_issuer, owner_subject = excluded.owner_subject, owner_label = excluded.owner_label, marker = excluded.marker,
  create_event_id = excluded.create_event_id, created_at = excluded.created_at, expires_at = excluded.expires_at,
  revoked_at = excluded.revoked_at, ended_by = excluded.ended_by, unseen_at = excluded.unseen_at, token_prefix = excluded.token_prefix,
  fingerprint = excluded.fingerprint, fingerprint_key_id = excluded.fingerprint_key_id, suspended_by = excluded.suspended_by;
--> statement-breakpoint
DELETE FROM `tokens` WHERE workspace_uuid IN (SELECT spelling FROM `workspaces_respelled`);
--> statement-breakpoint
-- Whatever list anybody holds of such a workspace lacks what the merged inventory has: its generation is above all of theirs, and the
-- change waits to be listed.
INSERT INTO `workspaces` (`workspace_uuid`, `generation`, `lease_generation`, `lease_until`, `listed_at`, `list_state`, `list_state_at`)
WITH spelled AS MATERIALIZED (
  SELECT coalesce(r.workspace, w.workspace_uuid) AS workspace, w.*
  FROM `workspaces` AS w LEFT JOIN `workspaces_respelled` AS r ON r.spelling = w.workspace_uuid
  WHERE coalesce(r.workspace, w.workspace_uuid) IN (SELECT workspace FROM `workspaces_respelled`)),
merged AS (
  SELECT workspace, row_number() OVER latest AS place, max(generation) OVER (PARTITION BY workspace) AS generation,
    max(listed_at) OVER (PARTITION BY workspace) AS listed_at,
    first_value(list_state) OVER latest AS list_state, first_value(list_state_at) OVER latest AS list_state_at
  FROM spelled
  WINDOW latest AS (PARTITION BY workspace ORDER BY list_state IS NULL, list_state_at DESC, workspace_uuid))
SELECT workspace, generation + 1, -1, 0, listed_at, list_state, list_state_at FROM merged WHERE place = 1
ON CONFLICT (`workspace_uuid`) DO UPDATE SET generation = excluded.generation, lease_generation = excluded.lease_generation,
  lease_until = excluded.lease_until, lease_holder = NULL, lease_changed = NULL, listed_at = excluded.listed_at,
  list_state = excluded.list_state, list_state_at = excluded.list_state_at;
--> statement-breakpoint
DELETE FROM `workspaces` WHERE workspace_uuid IN (SELECT spelling FROM `workspaces_respelled`);
--> statement-breakpoint
-- A list is a copy of PipeOps': the next reader asks for it again.
DELETE FROM `snapshots` WHERE workspace_uuid IN (SELECT spelling FROM `workspaces_respelled` UNION SELECT workspace FROM `workspaces_respelled`);
--> statement-breakpoint
INSERT INTO `upstream_limits` (`scope`, `until`)
SELECT r.workspace, max(l.until) FROM `upstream_limits` AS l JOIN `workspaces_respelled` AS r ON r.spelling = l.scope WHERE true GROUP BY r.workspace
ON CONFLICT (`scope`) DO UPDATE SET until = max(until, excluded.until);
--> statement-breakpoint
DELETE FROM `upstream_limits` WHERE scope IN (SELECT spelling FROM `workspaces_respelled`);
--> statement-breakpoint
-- Every order stays, since each has a row of its own in the trail; of two of one token the later finds it gone.
UPDATE `revocation_orders` SET workspace_uuid = (SELECT workspace FROM `workspaces_respelled` WHERE spelling = workspace_uuid)
WHERE workspace_uuid IN (SELECT spelling FROM `workspaces_respelled`);
--> statement-breakpoint
UPDATE `webhook_items` SET workspace_uuid = (SELECT workspace FROM `workspaces_respelled` WHERE spelling = workspace_uuid)
WHERE workspace_uuid IN (SELECT spelling FROM `workspaces_respelled`);
--> statement-breakpoint
-- An idempotency key is found by a hash, which nothing here can take again: a create that spells its workspace otherwise is looked for under
-- both (`former` in src/idempotency/keyed-request.ts).
DROP TABLE `workspaces_respelled`;
