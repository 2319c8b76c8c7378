CREATE TABLE `idempotency_keys` (
	`key_hash` text PRIMARY KEY NOT NULL,
	`request_fingerprint` text NOT NULL,
	`event_id` text NOT NULL,
	`expires_at` integer NOT NULL,
	`sealed` text
);
--> statement-breakpoint
CREATE INDEX `idempotency_keys_expires_at` ON `idempotency_keys` (`expires_at`);--> statement-breakpoint
CREATE TABLE `snapshots` (
	`workspace_uuid` text PRIMARY KEY NOT NULL,
	`generation` integer NOT NULL,
	`begun_at` integer NOT NULL,
	`body` text NOT NULL
);
--> statement-breakpoint
CREATE TABLE `workspaces` (
	`workspace_uuid` text PRIMARY KEY NOT NULL,
	`generation` integer NOT NULL,
	`lease_generation` integer,
	`lease_until` integer NOT NULL
);
