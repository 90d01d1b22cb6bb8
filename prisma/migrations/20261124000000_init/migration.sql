-- CreateSchema
CREATE SCHEMA IF NOT EXISTS "public";

-- CreateTable
CREATE TABLE "users" (
    "tenant" TEXT NOT NULL,
    "id" UUID NOT NULL,
    "namespace" TEXT NOT NULL,
    "subject" TEXT NOT NULL,
    "account" TEXT NOT NULL,
    "sources" JSONB NOT NULL DEFAULT '{}',
    "epoch" INTEGER NOT NULL DEFAULT 1,
    "revision" INTEGER NOT NULL DEFAULT 1,
    "recovered_at" TIMESTAMPTZ(6),
    "disabled_at" TIMESTAMPTZ(6),
    "created_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "users_pkey" PRIMARY KEY ("tenant","id")
);

-- CreateTable
CREATE TABLE "enrollments" (
    "tenant" TEXT NOT NULL,
    "user_id" UUID NOT NULL,
    "factor_id" UUID NOT NULL,
    "label" TEXT,
    "session" TEXT,
    "sealed" BYTEA NOT NULL,
    "key_id" TEXT NOT NULL,
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "claim" UUID,
    "claimed_until" TIMESTAMPTZ(6),
    "created_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expires_at" TIMESTAMPTZ(6) NOT NULL,

    CONSTRAINT "enrollments_pkey" PRIMARY KEY ("tenant","user_id")
);

-- CreateTable
CREATE TABLE "factors" (
    "tenant" TEXT NOT NULL,
    "id" UUID NOT NULL,
    "user_id" UUID NOT NULL,
    "kind" TEXT NOT NULL DEFAULT 'totp',
    "label" TEXT NOT NULL,
    "sealed" BYTEA NOT NULL,
    "key_id" TEXT NOT NULL,
    "algorithm" TEXT NOT NULL DEFAULT 'SHA1',
    "digits" INTEGER NOT NULL DEFAULT 6,
    "period" INTEGER NOT NULL DEFAULT 30,
    "last_step" BIGINT NOT NULL,
    "last_used_at" TIMESTAMPTZ(6),
    "created_at" TIMESTAMPTZ(6) NOT NULL,
    "confirmed_at" TIMESTAMPTZ(6) NOT NULL,
    "after_recovery_at" TIMESTAMPTZ(6),

    CONSTRAINT "factors_pkey" PRIMARY KEY ("tenant","id")
);

-- CreateTable
CREATE TABLE "recovery_sets" (
    "tenant" TEXT NOT NULL,
    "user_id" UUID NOT NULL,
    "id" UUID NOT NULL,
    "generated_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "acknowledged_at" TIMESTAMPTZ(6),

    CONSTRAINT "recovery_sets_pkey" PRIMARY KEY ("tenant","user_id")
);

-- CreateTable
CREATE TABLE "recovery_codes" (
    "tenant" TEXT NOT NULL,
    "user_id" UUID NOT NULL,
    "slot" SMALLINT NOT NULL,
    "hash" TEXT NOT NULL,
    "pepper_id" TEXT NOT NULL,
    "used_at" TIMESTAMPTZ(6),

    CONSTRAINT "recovery_codes_pkey" PRIMARY KEY ("tenant","user_id","slot")
);

-- CreateTable
CREATE TABLE "throttles" (
    "tenant" TEXT NOT NULL,
    "user_id" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "failures" INTEGER NOT NULL DEFAULT 0,
    "tries" INTEGER NOT NULL DEFAULT 0,
    "wait_until" TIMESTAMPTZ(6),
    "locked_at" TIMESTAMPTZ(6),
    "recent" TIMESTAMPTZ(6)[] DEFAULT ARRAY[]::TIMESTAMPTZ(6)[],

    CONSTRAINT "throttles_pkey" PRIMARY KEY ("tenant","user_id","kind")
);

-- CreateTable
CREATE TABLE "mfa_sessions" (
    "tenant" TEXT NOT NULL,
    "user_id" UUID NOT NULL,
    "issuer" TEXT NOT NULL,
    "session" TEXT NOT NULL,
    "generation" INTEGER NOT NULL DEFAULT 0,
    "acr" TEXT,
    "methods" TEXT[] DEFAULT ARRAY[]::TEXT[],
    "factor_id" UUID,
    "auth_time" TIMESTAMPTZ(6),
    "epoch" INTEGER NOT NULL,
    "expires_at" TIMESTAMPTZ(6) NOT NULL,

    CONSTRAINT "mfa_sessions_pkey" PRIMARY KEY ("tenant","user_id","issuer","session")
);

-- CreateTable
CREATE TABLE "policies" (
    "tenant" TEXT NOT NULL,
    "enforcement" TEXT NOT NULL DEFAULT 'optional',
    "groups" TEXT[] DEFAULT ARRAY[]::TEXT[],
    "grace_period_days" INTEGER NOT NULL DEFAULT 0,
    "enforce_from" TIMESTAMPTZ(6),
    "sso_rule" TEXT NOT NULL DEFAULT 'exempt_sso_only',
    "version" INTEGER NOT NULL DEFAULT 0,
    "updated_at" TIMESTAMPTZ(6),
    "updated_by" TEXT,

    CONSTRAINT "policies_pkey" PRIMARY KEY ("tenant")
);

-- CreateTable
CREATE TABLE "audit_events" (
    "tenant" TEXT NOT NULL,
    "at" TIMESTAMPTZ(6) NOT NULL DEFAULT clock_timestamp(),
    "id" UUID NOT NULL DEFAULT gen_random_uuid(),
    "actor" TEXT,
    "subject" TEXT,
    "action" TEXT NOT NULL,
    "outcome" TEXT NOT NULL,
    "factor_kind" TEXT,
    "address" TEXT,
    "request_id" TEXT,
    "details" JSONB NOT NULL DEFAULT '{}',

    CONSTRAINT "audit_events_pkey" PRIMARY KEY ("tenant","at","id")
);

-- CreateIndex
CREATE UNIQUE INDEX "users_tenant_namespace_subject_key" ON "users"("tenant", "namespace", "subject");

-- CreateIndex
CREATE UNIQUE INDEX "factors_tenant_user_id_label_key" ON "factors"("tenant", "user_id", "label");

-- CreateIndex
CREATE INDEX "mfa_sessions_expires_at_idx" ON "mfa_sessions"("expires_at");

-- AddForeignKey
ALTER TABLE "enrollments" ADD CONSTRAINT "enrollments_tenant_user_id_fkey" FOREIGN KEY ("tenant", "user_id") REFERENCES "users"("tenant", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "factors" ADD CONSTRAINT "factors_tenant_user_id_fkey" FOREIGN KEY ("tenant", "user_id") REFERENCES "users"("tenant", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "recovery_sets" ADD CONSTRAINT "recovery_sets_tenant_user_id_fkey" FOREIGN KEY ("tenant", "user_id") REFERENCES "users"("tenant", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "recovery_codes" ADD CONSTRAINT "recovery_codes_tenant_user_id_fkey" FOREIGN KEY ("tenant", "user_id") REFERENCES "recovery_sets"("tenant", "user_id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "throttles" ADD CONSTRAINT "throttles_tenant_user_id_fkey" FOREIGN KEY ("tenant", "user_id") REFERENCES "users"("tenant", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "mfa_sessions" ADD CONSTRAINT "mfa_sessions_tenant_user_id_fkey" FOREIGN KEY ("tenant", "user_id") REFERENCES "users"("tenant", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- By hand, beyond what schema.prisma can say.

ALTER TABLE "policies"
  ADD CONSTRAINT "policies_enforcement" CHECK (enforcement IN ('optional', 'report_only', 'required')),
  ADD CONSTRAINT "policies_sso_rule" CHECK (sso_rule IN ('exempt_sso_only', 'exempt_sso_session', 'none')),
  ADD CONSTRAINT "policies_grace" CHECK (grace_period_days BETWEEN 0 AND 365);
ALTER TABLE "throttles" ADD CONSTRAINT "throttles_kind" CHECK (kind IN ('totp', 'recovery', 'enroll'));
ALTER TABLE "recovery_codes" ADD CONSTRAINT "recovery_codes_bcrypt" CHECK (hash ~ '^[$]2[aby][$]1[0-9][$]');

-- Rows that change at each login keep room for their next version on the page, and none of it is indexed.
ALTER TABLE "factors" SET (fillfactor = 80);
ALTER TABLE "throttles" SET (fillfactor = 80);

-- The role of the service: it reads and writes, changes no table, and cannot rewrite the audit. Give it to the service's
-- login: GRANT headless_mfa TO <login>. A role belongs to the whole server, and another database may have made it;
-- where the owner may not make roles, an administrator does, and runs the two statements below.
DO $$ BEGIN
  IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'headless_mfa') THEN
    CREATE ROLE headless_mfa NOLOGIN;
  END IF;
EXCEPTION WHEN duplicate_object OR unique_violation OR insufficient_privilege THEN
  RAISE NOTICE 'the role headless_mfa was not made here';
END $$;
DO $$ BEGIN
  IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'headless_mfa') THEN
    GRANT SELECT, INSERT, UPDATE, DELETE ON users, enrollments, factors, recovery_sets, recovery_codes, throttles, policies, mfa_sessions TO headless_mfa;
    GRANT SELECT, INSERT ON audit_events TO headless_mfa;
  END IF;
END $$;
