-- The login of the service: the migrations make the role that it belongs to, so it is a member before that. Its password is set
-- by hand: \password mfa
CREATE ROLE headless_mfa NOLOGIN;
CREATE ROLE mfa LOGIN IN ROLE headless_mfa;
-- Of a connection that sets its own limits these are overruled; behind a pooler there are no others (docs/scaling.md).
ALTER ROLE mfa SET statement_timeout = '20s';
ALTER ROLE mfa SET lock_timeout = '1s';
ALTER ROLE mfa SET idle_in_transaction_session_timeout = '3s';
