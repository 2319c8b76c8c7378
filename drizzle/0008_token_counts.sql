-- How many live tokens an owner holds, for the limit of its roles. A count is wanted before each create, and an owner may have left any
-- number of dead tokens behind: so live ones are counted as they come and go, and only where the limit is reached by an index.
CREATE TABLE `open_creates` (
	`owner_issuer` text NOT NULL,
	`owner_subject` text NOT NULL,
	`event_id` text NOT NULL,
	PRIMARY KEY(`owner_issuer`, `owner_subject`, `event_id`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `token_counts` (
	`owner_issuer` text NOT NULL,
	`owner_subject` text NOT NULL,
	`live` integer NOT NULL,
	`counted_at` integer NOT NULL,
	`max_tokens` integer,
	PRIMARY KEY(`owner_issuer`, `owner_subject`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE INDEX `token_counts_near` ON `token_counts` (`live`) WHERE "token_counts"."live" * 5 > "token_counts"."max_tokens" * 4;
--> statement-breakpoint
CREATE INDEX `tokens_owner_live` ON `tokens` (`owner_issuer`,`owner_subject`,`expires_at`) WHERE "tokens"."owner_issuer" is not null and "tokens"."revoked_at" is null;
--> statement-breakpoint
-- The owners that are there already, in the order of that index: nothing is sorted, and no row of `tokens` is read.
INSERT INTO `token_counts` (`owner_issuer`, `owner_subject`, `live`, `counted_at`)
SELECT owner_issuer, owner_subject, sum(expires_at IS NULL OR expires_at > unixepoch() * 1000), unixepoch() * 1000
FROM `tokens` WHERE owner_issuer IS NOT NULL AND owner_subject IS NOT NULL AND revoked_at IS NULL
GROUP BY owner_issuer, owner_subject;
--> statement-breakpoint
INSERT INTO `open_creates`
SELECT actor_issuer, actor_subject, id FROM `audit_events`
WHERE status = 'attempted' AND action = 'service_account_token.create' AND actor_issuer IS NOT NULL AND actor_subject IS NOT NULL;
--> statement-breakpoint
-- `live` is the number of an owner's tokens without `revoked_at` that expire after `counted_at`, or never. Each trigger keeps that true,
-- whichever statement enters, ends, revives or hands over a token: what is not counted when it comes is not taken off when it goes.
CREATE TRIGGER tokens_counted_in AFTER INSERT ON tokens
WHEN NEW.owner_issuer IS NOT NULL AND NEW.owner_subject IS NOT NULL AND NEW.revoked_at IS NULL
BEGIN
  UPDATE token_counts SET live = live + 1
    WHERE owner_issuer = NEW.owner_issuer AND owner_subject = NEW.owner_subject
      AND (NEW.expires_at IS NULL OR NEW.expires_at > counted_at);
  INSERT INTO token_counts (owner_issuer, owner_subject, live, counted_at)
    SELECT NEW.owner_issuer, NEW.owner_subject, NEW.expires_at IS NULL OR NEW.expires_at > 0, 0
    WHERE NOT EXISTS (SELECT 1 FROM token_counts WHERE owner_issuer = NEW.owner_issuer AND owner_subject = NEW.owner_subject);
END;
--> statement-breakpoint
CREATE TRIGGER tokens_counted_anew AFTER UPDATE OF owner_issuer, owner_subject, expires_at, revoked_at ON tokens
WHEN (NEW.revoked_at IS NULL) IS NOT (OLD.revoked_at IS NULL) OR NEW.expires_at IS NOT OLD.expires_at
  OR NEW.owner_issuer IS NOT OLD.owner_issuer OR NEW.owner_subject IS NOT OLD.owner_subject
BEGIN
  UPDATE token_counts SET live = live - 1
    WHERE owner_issuer = OLD.owner_issuer AND owner_subject = OLD.owner_subject
      AND OLD.revoked_at IS NULL AND (OLD.expires_at IS NULL OR OLD.expires_at > counted_at);
  UPDATE token_counts SET live = live + 1
    WHERE owner_issuer = NEW.owner_issuer AND owner_subject = NEW.owner_subject
      AND NEW.revoked_at IS NULL AND (NEW.expires_at IS NULL OR NEW.expires_at > counted_at);
  INSERT INTO token_counts (owner_issuer, owner_subject, live, counted_at)
    SELECT NEW.owner_issuer, NEW.owner_subject, NEW.expires_at IS NULL OR NEW.expires_at > 0, 0
    WHERE NEW.owner_issuer IS NOT NULL AND NEW.owner_subject IS NOT NULL AND NEW.revoked_at IS NULL
      AND NOT EXISTS (SELECT 1 FROM token_counts WHERE owner_issuer = NEW.owner_issuer AND owner_subject = NEW.owner_subject);
END;
--> statement-breakpoint
CREATE TRIGGER tokens_counted_out AFTER DELETE ON tokens WHEN OLD.revoked_at IS NULL
BEGIN
  UPDATE token_counts SET live = live - 1
    WHERE owner_issuer = OLD.owner_issuer AND owner_subject = OLD.owner_subject
      AND (OLD.expires_at IS NULL OR OLD.expires_at > counted_at);
END;
--> statement-breakpoint
-- A create under way counts until its row is settled, by whomever: its request, the compensating revoke, or reconciliation. What it
-- minted is counted by its row in `tokens` from then on.
CREATE TRIGGER audit_events_create_settled AFTER UPDATE OF status ON audit_events
WHEN OLD.status = 'attempted' AND NEW.status IS NOT 'attempted' AND OLD.action = 'service_account_token.create'
BEGIN
  DELETE FROM open_creates
    WHERE owner_issuer = OLD.actor_issuer AND owner_subject = OLD.actor_subject AND event_id = OLD.id;
END;
