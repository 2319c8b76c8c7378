ALTER TABLE `workspaces` ADD `usage_unused` integer;--> statement-breakpoint
ALTER TABLE `workspaces` ADD `usage_never_used` integer;