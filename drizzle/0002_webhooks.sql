CREATE TABLE `revocation_orders` (
	`id` text PRIMARY KEY NOT NULL,
	`delivery_id` text NOT NULL,
	`workspace_uuid` text NOT NULL,
	`token_id` text NOT NULL,
	`mode` text NOT NULL,
	`confirms` integer NOT NULL,
	`state` text NOT NULL,
	`result` text,
	`error_code` text,
	`tries` integer NOT NULL,
	`next_at` integer NOT NULL,
	`claim` text,
	`created_at` integer NOT NULL,
	`begun_at` integer NOT NULL,
	`done_at` integer,
	`confirmed_at` integer
);
--> statement-breakpoint
CREATE INDEX `revocation_orders_delivery` ON `revocation_orders` (`delivery_id`);--> statement-breakpoint
CREATE INDEX `revocation_orders_due` ON `revocation_orders` (`next_at`) WHERE "revocation_orders"."state" in ('open', 'unconfirmed');--> statement-breakpoint
CREATE INDEX `revocation_orders_failed` ON `revocation_orders` (`begun_at`) WHERE "revocation_orders"."state" = 'failed';--> statement-breakpoint
CREATE TABLE `subject_blocks` (
	`seq` integer PRIMARY KEY NOT NULL,
	`issuer` text,
	`subject` text,
	`label` text,
	`delivery_id` text NOT NULL,
	`created_at` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `subject_blocks_subject` ON `subject_blocks` (`issuer`,`subject`);--> statement-breakpoint
CREATE INDEX `subject_blocks_label` ON `subject_blocks` (`label`);--> statement-breakpoint
CREATE TABLE `upstream_limits` (
	`scope` text PRIMARY KEY NOT NULL,
	`until` integer NOT NULL,
	`remaining` integer
);
--> statement-breakpoint
CREATE TABLE `webhook_deliveries` (
	`seq` integer PRIMARY KEY NOT NULL,
	`id` text NOT NULL,
	`source` text NOT NULL,
	`event` text NOT NULL,
	`sender_id` text,
	`dedupe_key` text NOT NULL,
	`event_id` text NOT NULL,
	`received_at` integer NOT NULL,
	`ignored` text,
	`mode` text,
	`subject_issuer` text,
	`subject` text,
	`subject_label` text
);
--> statement-breakpoint
CREATE UNIQUE INDEX `webhook_deliveries_id` ON `webhook_deliveries` (`id`);--> statement-breakpoint
CREATE INDEX `webhook_deliveries_dedupe` ON `webhook_deliveries` (`source`,`dedupe_key`);--> statement-breakpoint
CREATE TABLE `webhook_items` (
	`seq` integer PRIMARY KEY NOT NULL,
	`delivery_id` text NOT NULL,
	`position` integer NOT NULL,
	`found` text NOT NULL,
	`location` text,
	`workspace_uuid` text,
	`token_id` text,
	`candidates` text
);
--> statement-breakpoint
CREATE INDEX `webhook_items_delivery` ON `webhook_items` (`delivery_id`);--> statement-breakpoint
ALTER TABLE `tokens` ADD `owner_label` text;--> statement-breakpoint
ALTER TABLE `tokens` ADD `token_prefix` text;--> statement-breakpoint
ALTER TABLE `tokens` ADD `fingerprint` text;--> statement-breakpoint
ALTER TABLE `tokens` ADD `fingerprint_key_id` text;--> statement-breakpoint
ALTER TABLE `tokens` ADD `suspended_by` text;--> statement-breakpoint
CREATE INDEX `tokens_fingerprint` ON `tokens` (`fingerprint`) WHERE "tokens"."fingerprint" is not null;--> statement-breakpoint
CREATE INDEX `tokens_fingerprint_key` ON `tokens` (`fingerprint_key_id`,`expires_at`) WHERE "tokens"."revoked_at" is null and "tokens"."fingerprint_key_id" is not null;