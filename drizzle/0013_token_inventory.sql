ALTER TABLE `tokens` ADD `name` text;--> statement-breakpoint
ALTER TABLE `tokens` ADD `scopes` text;--> statement-breakpoint
ALTER TABLE `tokens` ADD `lifetime_seconds` integer;--> statement-breakpoint
ALTER TABLE `tokens` ADD `role` text;--> statement-breakpoint
ALTER TABLE `tokens` ADD `policy_version` text;--> statement-breakpoint
ALTER TABLE `tokens` ADD `replaces` text;--> statement-breakpoint
ALTER TABLE `tokens` ADD `replaced_by` text;--> statement-breakpoint
ALTER TABLE `tokens` ADD `rotation_event_id` text;--> statement-breakpoint
ALTER TABLE `tokens` ADD `retires_at` integer;--> statement-breakpoint
ALTER TABLE `tokens` ADD `expiry_notice_at` integer;--> statement-breakpoint
ALTER TABLE `tokens` ADD `last_used_at` integer;--> statement-breakpoint
ALTER TABLE `tokens` ADD `usage_seen_at` integer;--> statement-breakpoint
ALTER TABLE `tokens` ADD `usage_sweeps` integer;--> statement-breakpoint
ALTER TABLE `tokens` ADD `usage_since` integer;--> statement-breakpoint
ALTER TABLE `tokens` ADD `usage_doubted_at` integer;--> statement-breakpoint
CREATE INDEX `tokens_workspace` ON `tokens` (`workspace_uuid`);--> statement-breakpoint
CREATE INDEX `tokens_expires` ON `tokens` (`expires_at`) WHERE "tokens"."revoked_at" is null and "tokens"."expires_at" is not null;--> statement-breakpoint
CREATE INDEX `tokens_expiry_notice` ON `tokens` (`expiry_notice_at`) WHERE "tokens"."expiry_notice_at" is not null;--> statement-breakpoint
CREATE INDEX `tokens_replaces` ON `tokens` (`replaces`) WHERE "tokens"."replaces" is not null;--> statement-breakpoint
CREATE INDEX `tokens_replaced_by` ON `tokens` (`replaced_by`) WHERE "tokens"."replaced_by" is not null;--> statement-breakpoint
ALTER TABLE `workspaces` ADD `usage_advanced_at` integer;--> statement-breakpoint
ALTER TABLE `workspaces` ADD `usage_swept_at` integer;--> statement-breakpoint
ALTER TABLE `workspaces` ADD `usage_unused` integer;--> statement-breakpoint
ALTER TABLE `workspaces` ADD `usage_never_used` integer;--> statement-breakpoint
-- What was granted to the tokens that are there already, as far as the trail says it: by their creates, and by the last update of their
-- scopes or their name. The index of a token's life holds these events alone. Where a row does not name every scope that a preset stood for,
-- what was granted is not known: a part of it would pass for the whole.
UPDATE `tokens` SET
  `name` = coalesce((SELECT u.token_name FROM audit_events AS u WHERE u.token_id = tokens.token_id AND u.read_key IS NULL
      AND (u.workspace_uuid = tokens.workspace_uuid OR (length(replace(tokens.workspace_uuid, '-', '')) = 32
        AND replace(tokens.workspace_uuid, '-', '') NOT GLOB '*[^0-9a-f]*' AND lower(replace(u.workspace_uuid, '-', '')) = replace(tokens.workspace_uuid, '-', '')))
    AND u.action = 'service_account_token.update' AND u.status = 'success' AND u.token_name IS NOT NULL ORDER BY u.seq DESC LIMIT 1), e.token_name),
  `scopes` = CASE WHEN tokens.owner_issuer IS NULL THEN NULL ELSE coalesce((SELECT u.detail ->> 'scopes' FROM audit_events AS u
    WHERE u.token_id = tokens.token_id AND u.read_key IS NULL
      AND (u.workspace_uuid = tokens.workspace_uuid OR (length(replace(tokens.workspace_uuid, '-', '')) = 32
        AND replace(tokens.workspace_uuid, '-', '') NOT GLOB '*[^0-9a-f]*' AND lower(replace(u.workspace_uuid, '-', '')) = replace(tokens.workspace_uuid, '-', ''))) AND u.action = 'service_account_token.update' AND u.status = 'success'
      AND u.detail ->> 'scopes' IS NOT NULL ORDER BY u.seq DESC LIMIT 1),
    CASE WHEN e.detail ->> 'more_preset_scopes' IS NULL AND (e.detail ->> 'preset' IS NULL OR e.detail ->> 'preset_scopes' IS NOT NULL)
      THEN nullif((SELECT json_group_array(DISTINCT s.value) FROM (SELECT value FROM json_each(e.detail, '$.scopes')
        UNION ALL SELECT value FROM json_each(e.detail, '$.preset_scopes')) AS s), '[]') END) END,
  `role` = e.outcome ->> 'role',
  `policy_version` = e.detail ->> 'policy',
  `lifetime_seconds` = CASE WHEN tokens.owner_issuer IS NULL THEN NULL ELSE round((tokens.expires_at - e.occurred_at) / 1000.0) END
FROM audit_events AS e WHERE e.id = tokens.create_event_id;
--> statement-breakpoint
UPDATE `tokens` SET `expiry_notice_at` = CASE
  WHEN expires_at - created_at > 5184000000 AND expires_at - 2592000000 > unixepoch() * 1000 THEN expires_at - 2592000000
  WHEN expires_at - created_at > 1209600000 AND expires_at - 604800000 > unixepoch() * 1000 THEN expires_at - 604800000
  WHEN expires_at - created_at > 172800000 AND expires_at - 86400000 > unixepoch() * 1000 THEN expires_at - 86400000 END
WHERE expires_at IS NOT NULL AND revoked_at IS NULL;