-- The schema did not change.

-- Refused codes are rare among accepted ones, and are what is looked for after an attack: where there are hardly any, a
-- page of them would read a year of logins.
CREATE INDEX "audit_events_refused_idx" ON "audit_events"("tenant", "action", "at", "id") WHERE action = 'totp.refused';

-- No first sight waits until what others left is sorted in, and no page reads it.
ALTER INDEX "users_groups_idx" SET (fastupdate = off);
