-- The event's ordering key, null without one.
ALTER TABLE events ADD COLUMN ordering TEXT;
