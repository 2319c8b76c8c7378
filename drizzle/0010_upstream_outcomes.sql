CREATE TABLE `upstream_outcomes` (
	`kind` text NOT NULL,
	`subject` text NOT NULL,
	`since` integer,
	`last_at` integer NOT NULL,
	`error_code` text,
	`upstream_status` integer,
	`workspace_uuid` text,
	`ends_at` integer,
	PRIMARY KEY(`kind`, `subject`)
) WITHOUT ROWID;
