CREATE TABLE `credential_chains` (
	`chain` text PRIMARY KEY NOT NULL,
	`counter` integer NOT NULL,
	`sealed` text,
	`issued_at` integer,
	`expires_at` integer,
	`attempt_id` text,
	`tried_at` integer,
	`client` text NOT NULL,
	`lease_until` integer,
	`failed` text,
	`lost` text,
	`lost_at` integer
);
