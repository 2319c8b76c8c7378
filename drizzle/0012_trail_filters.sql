CREATE INDEX `audit_events_token_life` ON `audit_events` (`token_id`) WHERE "audit_events"."token_id" is not null and "audit_events"."read_key" is null;--> statement-breakpoint
CREATE INDEX `audit_events_token_name` ON `audit_events` (`token_name`) WHERE "audit_events"."token_name" is not null;--> statement-breakpoint
CREATE INDEX `audit_events_error_code` ON `audit_events` (`error_code`) WHERE "audit_events"."error_code" is not null;--> statement-breakpoint
CREATE INDEX `tokens_prefix` ON `tokens` (`token_prefix`) WHERE "tokens"."token_prefix" is not null;