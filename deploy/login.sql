-- The login of the service: the migrations make the role that it belongs to, so it is a member before that. Its password is set
-- by hand: \password mfa
CREATE ROLE headless_mfa NOLOGIN;
CREATE ROLE mfa LOGIN IN ROLE headless_mfa;
