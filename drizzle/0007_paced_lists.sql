ALTER TABLE `workspaces` ADD `lease_holder` text;--> statement-breakpoint
ALTER TABLE `workspaces` ADD `lease_changed` integer;--> statement-breakpoint
ALTER TABLE `workspaces` ADD `listed_at` integer;--> statement-breakpoint
CREATE INDEX `workspaces_listed_at` ON `workspaces` (`listed_at`,`list_state`) WHERE "workspaces"."listed_at" is not null;--> statement-breakpoint
CREATE INDEX `tokens_without_end` ON `tokens` (`workspace_uuid`,`expires_at`) WHERE "tokens"."ended_by" is null;--> statement-breakpoint
CREATE INDEX `tokens_listed_end` ON `tokens` (`workspace_uuid`) WHERE "tokens"."ended_by" = 'listed';