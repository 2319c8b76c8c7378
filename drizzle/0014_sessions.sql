CREATE TABLE `sessions` (
	`id` text PRIMARY KEY NOT NULL,
	`actor_type` text NOT NULL,
	`issuer` text NOT NULL,
	`subject` text NOT NULL,
	`label` text,
	`started_at` integer NOT NULL,
	`ends_at` integer NOT NULL,
	`mac` text,
	`seen_at` integer NOT NULL,
	`ended_at` integer,
	`end_reason` text,
	`recorded_at` integer
);
--> statement-breakpoint
CREATE INDEX `sessions_unrecorded` ON `sessions` (`seen_at`) WHERE "sessions"."recorded_at" is null;--> statement-breakpoint
CREATE INDEX `sessions_recorded` ON `sessions` (`recorded_at`) WHERE "sessions"."recorded_at" is not null;--> statement-breakpoint
-- Whoever is offboarded loses its sessions for good, however the block comes to be: by a webhook, by a caller, or late by a label. A later
-- reinstatement gives them nothing back.
CREATE TRIGGER subject_blocks_end_sessions AFTER INSERT ON subject_blocks
BEGIN
  UPDATE sessions SET mac = NULL, ended_at = NEW.created_at, end_reason = 'offboarded'
    WHERE ended_at IS NULL AND ((issuer = NEW.issuer AND subject = NEW.subject) OR label = NEW.label);
END;
