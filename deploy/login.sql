-- The service's login. It is a member of headless_mfa, which the migrations use. Set its password by hand: \password mfa
CREATE ROLE headless_mfa NOLOGIN;
CREATE ROLE mfa LOGIN IN ROLE headless_mfa;
-- A connection that sets its own limits overrules these. Behind a pooler there are no others (docs/scaling.md).
ALTER ROLE mfa SET statement_timeout = '20s';
ALTER ROLE mfa SET lock_timeout = '1s';
ALTER ROLE mfa SET idle_in_transaction_session_timeout = '3s';
