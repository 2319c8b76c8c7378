CREATE TABLE `job_leases` (
	`job` text PRIMARY KEY NOT NULL,
	`holder` text NOT NULL,
	`until` integer NOT NULL
);
--> statement-breakpoint
ALTER TABLE `revocation_orders` RENAME TO `revocation_orders_before`;
--> statement-breakpoint
DROP INDEX `revocation_orders_delivery`;--> statement-breakpoint
DROP INDEX `revocation_orders_due`;--> statement-breakpoint
DROP INDEX `revocation_orders_failed`;--> statement-breakpoint
CREATE TABLE `revocation_orders` (
	`id` text PRIMARY KEY NOT NULL,
	`cause` text NOT NULL,
	`delivery_id` text,
	`workspace_uuid` text NOT NULL,
	`token_id` text NOT NULL,
	`mode` text NOT NULL,
	`rank` integer NOT NULL,
	`state` text NOT NULL,
	`result` text,
	`error_code` text,
	`tries` integer DEFAULT 0 NOT NULL,
	`next_at` integer,
	`claim` text,
	`created_at` integer NOT NULL,
	`begun_at` integer,
	`acknowledged_at` integer,
	`confirmed_at` integer,
	`confirm_round` integer DEFAULT 0 NOT NULL,
	`unseen_at` integer,
	`contradicted_at` integer
);
--> statement-breakpoint
-- What was `done` without a look that agreed is looked at now; a suspension is not, since somebody may have resumed the token.
INSERT INTO `revocation_orders`
  (`id`, `cause`, `delivery_id`, `workspace_uuid`, `token_id`, `mode`, `rank`, `state`, `result`, `error_code`, `tries`, `next_at`,
   `created_at`, `begun_at`, `acknowledged_at`, `confirmed_at`, `confirm_round`)
SELECT o.id,
  CASE coalesce(d.event, '') WHEN 'token.leaked' THEN 'leak' WHEN 'token.revoke' THEN 'command' ELSE 'offboarding' END,
  o.delivery_id, o.workspace_uuid, o.token_id, o.mode, CASE coalesce(d.event, '') WHEN 'token.leaked' THEN 0 ELSE 1 END,
  CASE
    WHEN o.state = 'unconfirmed' THEN 'acknowledged'
    WHEN o.state = 'done' AND (o.mode = 'suspend' OR o.result IS 'not_found' OR o.confirmed_at IS NOT NULL) THEN 'confirmed'
    WHEN o.state = 'done' THEN 'acknowledged'
    ELSE o.state END,
  o.result, o.error_code, CASE WHEN o.state = 'done' THEN 0 ELSE o.tries END,
  CASE
    WHEN o.state IN ('open', 'unconfirmed') THEN o.next_at
    WHEN o.state = 'done' AND o.mode = 'revoke' AND o.result IS NOT 'not_found' AND o.confirmed_at IS NULL THEN o.next_at END,
  o.created_at, CASE WHEN o.tries > 0 THEN o.begun_at END, o.done_at, o.confirmed_at, 0
FROM `revocation_orders_before` AS o LEFT JOIN `webhook_deliveries` AS d ON d.id = o.delivery_id;
--> statement-breakpoint
DROP TABLE `revocation_orders_before`;--> statement-breakpoint
CREATE INDEX `revocation_orders_delivery` ON `revocation_orders` (`delivery_id`,`workspace_uuid`,`token_id`);--> statement-breakpoint
CREATE INDEX `revocation_orders_token` ON `revocation_orders` (`workspace_uuid`,`token_id`);--> statement-breakpoint
CREATE INDEX `revocation_orders_due` ON `revocation_orders` (`rank`,`next_at`) WHERE "revocation_orders"."next_at" is not null;--> statement-breakpoint
CREATE INDEX `revocation_orders_state` ON `revocation_orders` (`state`,`created_at`) WHERE "revocation_orders"."state" in ('open', 'acknowledged', 'failed');--> statement-breakpoint
CREATE INDEX `revocation_orders_contradicted` ON `revocation_orders` (`contradicted_at`) WHERE "revocation_orders"."contradicted_at" is not null;--> statement-breakpoint
CREATE TABLE `subject_labels` (
	`issuer` text NOT NULL,
	`subject` text NOT NULL,
	`label_digest` text NOT NULL,
	`first_seen_at` integer NOT NULL,
	`last_seen_at` integer NOT NULL,
	PRIMARY KEY(`issuer`, `subject`, `label_digest`)
);
--> statement-breakpoint
CREATE INDEX `subject_labels_label` ON `subject_labels` (`label_digest`);--> statement-breakpoint
CREATE TABLE `webhook_owners` (
	`delivery_id` text NOT NULL,
	`issuer` text NOT NULL,
	`subject` text NOT NULL,
	`found` text NOT NULL,
	`tokens` integer NOT NULL,
	PRIMARY KEY(`delivery_id`, `issuer`, `subject`)
);
--> statement-breakpoint
ALTER TABLE `attempt_reviews` ADD `unseen_at` integer;--> statement-breakpoint
ALTER TABLE `tokens` ADD `ended_by` text;--> statement-breakpoint
ALTER TABLE `tokens` ADD `unseen_at` integer;--> statement-breakpoint
CREATE INDEX `tokens_owner` ON `tokens` (`owner_issuer`,`owner_subject`) WHERE "tokens"."owner_issuer" is not null;--> statement-breakpoint
CREATE INDEX `tokens_owner_label` ON `tokens` (`owner_label`) WHERE "tokens"."owner_label" is not null;--> statement-breakpoint
ALTER TABLE `webhook_deliveries` ADD `content_digest` text;--> statement-breakpoint
ALTER TABLE `webhook_deliveries` ADD `id_reused` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `webhook_deliveries` ADD `refused` text;--> statement-breakpoint
ALTER TABLE `webhook_deliveries` ADD `refused_field` text;--> statement-breakpoint
ALTER TABLE `webhook_deliveries` ADD `rejected_items` text;--> statement-breakpoint
ALTER TABLE `webhook_deliveries` ADD `former` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `webhook_deliveries` ADD `orders_left` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
CREATE INDEX `webhook_deliveries_left` ON `webhook_deliveries` (`seq`) WHERE "webhook_deliveries"."orders_left" = 1;--> statement-breakpoint
CREATE INDEX `webhook_deliveries_refused` ON `webhook_deliveries` (`received_at`) WHERE "webhook_deliveries"."refused" is not null;--> statement-breakpoint
ALTER TABLE `workspaces` ADD `list_state` text;--> statement-breakpoint
ALTER TABLE `workspaces` ADD `list_state_at` integer;--> statement-breakpoint
-- An end counts as known where PipeOps acknowledged a revoke of ours. What one list lacked is looked at again.
UPDATE `tokens` SET `ended_by` = 'acknowledged' WHERE `revoked_at` IS NOT NULL AND EXISTS (
  SELECT 1 FROM `audit_events` AS e WHERE e.token_id = tokens.token_id AND e.workspace_uuid = tokens.workspace_uuid
    AND e.action = 'service_account_token.revoke' AND e.status = 'success' AND e.upstream_status BETWEEN 200 AND 299);
--> statement-breakpoint
UPDATE `tokens` SET `suspended_by` = '["offboarding"]' WHERE `suspended_by` IS NOT NULL;
