CREATE TABLE `upstream_calls` (
	`span` text NOT NULL,
	`bucket` integer NOT NULL,
	`calls` integer NOT NULL,
	PRIMARY KEY(`span`, `bucket`)
) WITHOUT ROWID;
