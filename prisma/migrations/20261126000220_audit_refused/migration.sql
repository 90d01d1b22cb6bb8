-- The schema did not change. Refused codes are rare among accepted ones, too, and are what is looked for after an attack:
-- where there are hardly any, a page of them would read a year of logins.
CREATE INDEX "audit_events_refused_idx" ON "audit_events"("tenant", "action", "at", "id") WHERE action = 'totp.refused';
