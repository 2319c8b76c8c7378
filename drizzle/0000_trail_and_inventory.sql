CREATE TABLE `attempt_reviews` (
	`event_id` text PRIMARY KEY NOT NULL,
	`tries` integer NOT NULL,
	`next_at` integer NOT NULL,
	`claim` text NOT NULL
);
--> statement-breakpoint
CREATE TABLE `audit_events` (
	`seq` integer PRIMARY KEY NOT NULL,
	`id` text NOT NULL,
	`occurred_at` integer NOT NULL,
	`settled_at` integer,
	`action` text NOT NULL,
	`status` text NOT NULL,
	`actor_type` text NOT NULL,
	`actor_issuer` text,
	`actor_subject` text,
	`actor_label` text,
	`workspace_uuid` text,
	`token_id` text,
	`token_name` text,
	`request_id` text,
	`ip` text,
	`user_agent` text,
	`upstream_status` integer,
	`error_code` text,
	`detail` text NOT NULL,
	`outcome` text,
	`count` integer DEFAULT 1 NOT NULL,
	`last_at` integer,
	`read_key` text,
	`marker` text
);
--> statement-breakpoint
CREATE UNIQUE INDEX `audit_events_id` ON `audit_events` (`id`);--> statement-breakpoint
CREATE INDEX `audit_events_action` ON `audit_events` (`action`);--> statement-breakpoint
CREATE INDEX `audit_events_actor_subject` ON `audit_events` (`actor_subject`) WHERE "audit_events"."actor_subject" is not null;--> statement-breakpoint
CREATE INDEX `audit_events_actor_label` ON `audit_events` (`actor_label`) WHERE "audit_events"."actor_label" is not null and "audit_events"."actor_label" is not "audit_events"."actor_subject";--> statement-breakpoint
CREATE INDEX `audit_events_workspace_uuid` ON `audit_events` (`workspace_uuid`) WHERE "audit_events"."workspace_uuid" is not null;--> statement-breakpoint
CREATE INDEX `audit_events_token_id` ON `audit_events` (`token_id`) WHERE "audit_events"."token_id" is not null;--> statement-breakpoint
CREATE INDEX `audit_events_request_id` ON `audit_events` (`request_id`) WHERE "audit_events"."request_id" is not null;--> statement-breakpoint
CREATE INDEX `audit_events_marker` ON `audit_events` (`marker`) WHERE "audit_events"."marker" is not null;--> statement-breakpoint
CREATE INDEX `audit_events_read_key` ON `audit_events` (`read_key`) WHERE "audit_events"."read_key" is not null;--> statement-breakpoint
CREATE INDEX `audit_events_open` ON `audit_events` (`occurred_at`) WHERE "audit_events"."status" = 'attempted';--> statement-breakpoint
CREATE TABLE `jwks_cache` (
	`issuer` text PRIMARY KEY NOT NULL,
	`jwks` text NOT NULL,
	`fetched_at` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `tokens` (
	`workspace_uuid` text NOT NULL,
	`token_id` text NOT NULL,
	`owner_issuer` text,
	`owner_subject` text,
	`marker` text,
	`create_event_id` text,
	`created_at` integer NOT NULL,
	`expires_at` integer,
	`revoked_at` integer,
	PRIMARY KEY(`workspace_uuid`, `token_id`)
);
