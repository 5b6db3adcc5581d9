-- Why an alert is over: well again, or about something that there is no more.
ALTER TABLE alerts ADD COLUMN ended_because text;
