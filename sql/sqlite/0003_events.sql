-- The account events are counted on the account's own row, whose lock puts them in one order; a count of the events
-- themselves would begin anew when old ones have been removed.

ALTER TABLE users ADD COLUMN event_seq INTEGER NOT NULL DEFAULT 0;
