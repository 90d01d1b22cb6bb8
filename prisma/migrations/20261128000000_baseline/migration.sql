-- Written by `npm run migrate:baseline` from schema.prisma, baseline.sql and functions/: a change is made there.

-- Generated columns, so that no statement can forget them. Their functions come before the tables.

-- An account as it is looked for, in small letters: the same in every database, whatever its locale. Beside ASCII those of the Latin,
-- Greek, Cyrillic and Armenian scripts; an i with a dot and one without are one letter. So does `foldAccount` in src/users/account.ts.
CREATE OR REPLACE FUNCTION fold_account(p_account text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF octet_length(p_account) = char_length(p_account) THEN RETURN lower(p_account COLLATE "C"); END IF;
  RETURN lower(translate(p_account,
    'ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖØÙÚÛÜÝÞĀĂĄĆĈĊČĎĐĒĔĖĘĚĜĞĠĢĤĦĨĪĬĮİıĲĴĶĹĻĽĿŁŃŅŇŊŌŎŐŒŔŖŘŚŜŞŠŢŤŦŨŪŬŮŰŲŴŶŸŹŻŽſƁƂƄƆƇƉƊƋƎƏƐƑƓƔƖƗƘ' ||
    'ƜƝƟƠƢƤƦƧƩƬƮƯƱƲƳƵƷƸƼǄǅǇǈǊǋǍǏǑǓǕǗǙǛǞǠǢǤǦǨǪǬǮǱǲǴǶǷǸǺǼǾȀȂȄȆȈȊȌȎȐȒȔȖȘȚȜȞȠȢȤȦȨȪȬȮȰȲȺȻȽȾɁɃɄɅɆɈɊɌɎͰͲͶͿΆΈΉΊΌΎΏΑΒΓΔΕΖΗΘΙΚΛ' ||
    'ΜΝΞΟΠΡΣΤΥΦΧΨΩΪΫςϏϘϚϜϞϠϢϤϦϨϪϬϮϴϷϹϺϽϾϿЀЁЂЃЄЅІЇЈЉЊЋЌЍЎЏАБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯѠѢѤѦѨѪѬѮѰѲѴѶѸѺѼѾҀҊҌҎҐҒҔҖҘҚҜҞ' ||
    'ҠҢҤҦҨҪҬҮҰҲҴҶҸҺҼҾӀӁӃӅӇӉӋӍӐӒӔӖӘӚӜӞӠӢӤӦӨӪӬӮӰӲӴӶӸӺӼӾԀԂԄԆԈԊԌԎԐԒԔԖԘԚԜԞԠԢԤԦԨԪԬԮԱԲԳԴԵԶԷԸԹԺԻԼԽԾԿՀՁՂՃՄՅՆՇՈՉՊՋՌՍՎՏՐՑՒՓՔՕՖḀḂ' ||
    'ḄḆḈḊḌḎḐḒḔḖḘḚḜḞḠḢḤḦḨḪḬḮḰḲḴḶḸḺḼḾṀṂṄṆṈṊṌṎṐṒṔṖṘṚṜṞṠṢṤṦṨṪṬṮṰṲṴṶṸṺṼṾẀẂẄẆẈẊẌẎẐẒẔẞẠẢẤẦẨẪẬẮẰẲẴẶẸẺẼẾỀỂỄỆỈỊỌỎỐỒỔỖỘỚỜỞỠỢỤỦỨỪ' ||
    'ỬỮỰỲỴỶỸỺỼỾἈἉἊἋἌἍἎἏἘἙἚἛἜἝἨἩἪἫἬἭἮἯἸἹἺἻἼἽἾἿὈὉὊὋὌὍὙὛὝὟὨὩὪὫὬὭὮὯᾈᾉᾊᾋᾌᾍᾎᾏᾘᾙᾚᾛᾜᾝᾞᾟᾨᾩᾪᾫᾬᾭᾮᾯᾸᾹᾺΆᾼῈΈῊΉῌῘῙῚΊῨῩῪΎῬῸΌῺΏῼ',
    'àáâãäåæçèéêëìíîïðñòóôõöøùúûüýþāăąćĉċčďđēĕėęěĝğġģĥħĩīĭįiiĳĵķĺļľŀłńņňŋōŏőœŕŗřśŝşšţťŧũūŭůűųŵŷÿźżžsɓƃƅɔƈɖɗƌǝəɛƒɠɣɩɨƙ' ||
    'ɯɲɵơƣƥʀƨʃƭʈưʊʋƴƶʒƹƽǆǆǉǉǌǌǎǐǒǔǖǘǚǜǟǡǣǥǧǩǫǭǯǳǳǵƕƿǹǻǽǿȁȃȅȇȉȋȍȏȑȓȕȗșțȝȟƞȣȥȧȩȫȭȯȱȳⱥȼƚⱦɂƀʉʌɇɉɋɍɏͱͳͷϳάέήίόύώαβγδεζηθικλ' ||
    'μνξοπρστυφχψωϊϋσϗϙϛϝϟϡϣϥϧϩϫϭϯθϸϲϻͻͼͽѐёђѓєѕіїјљњћќѝўџабвгдежзийклмнопрстуфхцчшщъыьэюяѡѣѥѧѩѫѭѯѱѳѵѷѹѻѽѿҁҋҍҏґғҕҗҙқҝҟ' ||
    'ҡңҥҧҩҫҭүұҳҵҷҹһҽҿӏӂӄӆӈӊӌӎӑӓӕӗәӛӝӟӡӣӥӧөӫӭӯӱӳӵӷӹӻӽӿԁԃԅԇԉԋԍԏԑԓԕԗԙԛԝԟԡԣԥԧԩԫԭԯաբգդեզէըթժիլխծկհձղճմյնշոչպջռսվտրցւփքօֆḁḃ' ||
    'ḅḇḉḋḍḏḑḓḕḗḙḛḝḟḡḣḥḧḩḫḭḯḱḳḵḷḹḻḽḿṁṃṅṇṉṋṍṏṑṓṕṗṙṛṝṟṡṣṥṧṩṫṭṯṱṳṵṷṹṻṽṿẁẃẅẇẉẋẍẏẑẓẕßạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừ' ||
    'ửữựỳỵỷỹỻỽỿἀἁἂἃἄἅἆἇἐἑἒἓἔἕἠἡἢἣἤἥἦἧἰἱἲἳἴἵἶἷὀὁὂὃὄὅὑὓὕὗὠὡὢὣὤὥὦὧᾀᾁᾂᾃᾄᾅᾆᾇᾐᾑᾒᾓᾔᾕᾖᾗᾠᾡᾢᾣᾤᾥᾦᾧᾰᾱὰάᾳὲέὴήῃῐῑὶίῠῡὺύῥὸόὼώῳ') COLLATE "C");
END $$;
-- The kinds of account that the sources claim a user has, each as a text that an index can find: "<source>\n<kind>". No source's name has a
-- line break.
CREATE OR REPLACE FUNCTION accounts_of(p_sources jsonb) RETURNS text[] LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  RETURN ARRAY(
    SELECT key || E'\n' || a COLLATE "C" FROM jsonb_each(p_sources) CROSS JOIN unnest(ARRAY['local', 'sso']) AS a
    WHERE value->a = 'true' ORDER BY 1);
END $$;
-- The groups that the sources claim a user is in, each as a text that an index can find: "<source>\n<group>". The source alone stands for
-- groups that it left out. No source's name and no group's has a line break.
CREATE OR REPLACE FUNCTION groups_of(p_sources jsonb) RETURNS text[] LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  RETURN ARRAY(
    SELECT DISTINCT key || E'\n' || g COLLATE "C" FROM jsonb_each(p_sources)
    CROSS JOIN jsonb_array_elements_text(CASE WHEN jsonb_typeof(value->'groups') = 'array' THEN value->'groups' ELSE '[]' END) AS g
    UNION ALL SELECT key FROM jsonb_each(p_sources) WHERE value->'groupsUnknown' = 'true'
    ORDER BY 1);
END $$;
-- A hash of the sources: users with the same claims are one cohort, and are counted together.
CREATE OR REPLACE FUNCTION cohort_of(p_sources jsonb) RETURNS uuid LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  RETURN left(encode(sha256(convert_to(p_sources::text, 'UTF8')), 'hex'), 32)::uuid;
END $$;

-- CreateSchema
CREATE SCHEMA IF NOT EXISTS "public";

-- CreateTable
CREATE TABLE "users" (
    "tenant" TEXT NOT NULL,
    "id" UUID NOT NULL,
    "namespace" TEXT NOT NULL,
    "subject" TEXT NOT NULL,
    "account" TEXT NOT NULL,
    "account_fold" TEXT GENERATED ALWAYS AS (fold_account("account")) STORED,
    "sources" JSONB NOT NULL DEFAULT '{}',
    "accounts" TEXT[] GENERATED ALWAYS AS (accounts_of("sources")) STORED,
    "groups" TEXT[] GENERATED ALWAYS AS (groups_of("sources")) STORED,
    "cohort" UUID GENERATED ALWAYS AS (cohort_of("sources")) STORED,
    "enrolled_at" TIMESTAMPTZ(6),
    "epoch" INTEGER NOT NULL DEFAULT 1,
    "revision" INTEGER NOT NULL DEFAULT 1,
    "recovered_at" TIMESTAMPTZ(6),
    "disabled_at" TIMESTAMPTZ(6),
    "created_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "policy_met_at" TIMESTAMPTZ(6),
    "grace_until" TIMESTAMPTZ(6),
    "exempt_since" TIMESTAMPTZ(6),
    "exempt_until" TIMESTAMPTZ(6),
    "exempt_reason" TEXT,
    "exempt_by" TEXT,
    "reported_version" INTEGER,
    "administrator_at" TIMESTAMPTZ(6),
    "code_required_at" TIMESTAMPTZ(6),
    "tokens_since" TIMESTAMPTZ(6),

    CONSTRAINT "users_pkey" PRIMARY KEY ("tenant","id")
);

-- CreateTable
CREATE TABLE "user_tallies" (
    "tenant" TEXT NOT NULL,
    "cohort" UUID NOT NULL,
    "is_enrolled" BOOLEAN NOT NULL,
    "accounts" TEXT[],
    "groups" TEXT[],
    "users" BIGINT NOT NULL,

    CONSTRAINT "user_tallies_pkey" PRIMARY KEY ("tenant","cohort","is_enrolled")
);

-- CreateTable
CREATE TABLE "user_tally_changes" (
    "tenant" TEXT NOT NULL,
    "id" UUID NOT NULL DEFAULT gen_random_uuid(),
    "cohort" UUID NOT NULL,
    "is_enrolled" BOOLEAN NOT NULL,
    "accounts" TEXT[],
    "groups" TEXT[],
    "change" INTEGER NOT NULL,

    CONSTRAINT "user_tally_changes_pkey" PRIMARY KEY ("tenant","id")
);

-- CreateTable
CREATE TABLE "enrollments" (
    "tenant" TEXT NOT NULL,
    "user_id" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "factor_id" UUID NOT NULL,
    "label" TEXT,
    "session" TEXT,
    "sealed" BYTEA NOT NULL,
    "key_id" TEXT NOT NULL,
    "algorithm" TEXT,
    "digits" INTEGER,
    "period" INTEGER,
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "claim" UUID,
    "claimed_until" TIMESTAMPTZ(6),
    "created_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expires_at" TIMESTAMPTZ(6) NOT NULL,

    CONSTRAINT "enrollments_pkey" PRIMARY KEY ("tenant","user_id","kind")
);

-- CreateTable
CREATE TABLE "factors" (
    "tenant" TEXT NOT NULL,
    "id" UUID NOT NULL,
    "user_id" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "label" TEXT NOT NULL,
    "sealed" BYTEA NOT NULL,
    "key_id" TEXT NOT NULL,
    "algorithm" TEXT,
    "digits" INTEGER,
    "period" INTEGER,
    "counter" BIGINT NOT NULL,
    "last_used_at" TIMESTAMPTZ(6),
    "created_at" TIMESTAMPTZ(6) NOT NULL,
    "confirmed_at" TIMESTAMPTZ(6) NOT NULL,
    "after_recovery_at" TIMESTAMPTZ(6),
    "credential_id" BYTEA,
    "rp_id" TEXT,
    "backup_eligible" BOOLEAN,
    "aaguid" UUID,
    "transports" TEXT[],
    "spent" BIGINT[] DEFAULT ARRAY[]::BIGINT[],

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
    "tag" INTEGER NOT NULL,
    "pepper_id" TEXT NOT NULL,
    "used_at" TIMESTAMPTZ(6),

    CONSTRAINT "recovery_codes_pkey" PRIMARY KEY ("tenant","user_id","slot")
);

-- CreateTable
CREATE TABLE "bypasses" (
    "tenant" TEXT NOT NULL,
    "user_id" UUID NOT NULL,
    "id" UUID NOT NULL,
    "hash" TEXT NOT NULL,
    "tag" INTEGER NOT NULL,
    "pepper_id" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expires_at" TIMESTAMPTZ(6) NOT NULL,
    "used_at" TIMESTAMPTZ(6),

    CONSTRAINT "bypasses_pkey" PRIMARY KEY ("tenant","user_id")
);

-- CreateTable
CREATE TABLE "tombstones" (
    "tenant" TEXT NOT NULL,
    "hash" TEXT NOT NULL,
    "pepper_id" TEXT NOT NULL,
    "epoch" INTEGER NOT NULL,
    "disabled_at" TIMESTAMPTZ(6),
    "erased_at" TIMESTAMPTZ(6) NOT NULL,

    CONSTRAINT "tombstones_pkey" PRIMARY KEY ("tenant","hash")
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
CREATE TABLE "refusals" (
    "tenant" TEXT NOT NULL,
    "user_id" UUID NOT NULL,
    "call" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "reported_at" TIMESTAMPTZ(6) NOT NULL,
    "unreported" INTEGER NOT NULL DEFAULT 0,
    "cause" TEXT,
    "made_by" JSONB,

    CONSTRAINT "refusals_pkey" PRIMARY KEY ("tenant","user_id","call")
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
    "epoch" INTEGER,
    "ends_at" TIMESTAMPTZ(6),
    "mac" BYTEA,
    "device_id" UUID,
    "expires_at" TIMESTAMPTZ(6) NOT NULL,

    CONSTRAINT "mfa_sessions_pkey" PRIMARY KEY ("tenant","user_id","issuer","session")
);

-- CreateTable
CREATE TABLE "devices" (
    "tenant" TEXT NOT NULL,
    "user_id" UUID NOT NULL,
    "id" UUID NOT NULL,
    "mac" BYTEA NOT NULL,
    "name" TEXT,
    "factor_id" UUID NOT NULL,
    "earned_at" TIMESTAMPTZ(6) NOT NULL,
    "epoch" INTEGER NOT NULL,
    "created_at" TIMESTAMPTZ(6) NOT NULL,
    "last_used_at" TIMESTAMPTZ(6),

    CONSTRAINT "devices_pkey" PRIMARY KEY ("tenant","user_id","id")
);

-- CreateTable
CREATE TABLE "revocations" (
    "tenant" TEXT NOT NULL,
    "user_id" UUID NOT NULL,
    "issuer" TEXT NOT NULL,
    "session" TEXT NOT NULL,
    "epoch" INTEGER NOT NULL,
    "generation" INTEGER NOT NULL,
    "at" TIMESTAMPTZ(6) NOT NULL DEFAULT clock_timestamp(),

    CONSTRAINT "revocations_pkey" PRIMARY KEY ("tenant","user_id","issuer","session")
);

-- CreateTable
CREATE TABLE "policies" (
    "tenant" TEXT NOT NULL,
    "enforcement" TEXT NOT NULL DEFAULT 'optional',
    "groups" TEXT[] DEFAULT ARRAY[]::TEXT[],
    "grace_period_days" INTEGER NOT NULL DEFAULT 0,
    "enforce_from" TIMESTAMPTZ(6),
    "sso_rule" TEXT NOT NULL DEFAULT 'exempt_sso_only',
    "phishing_resistant" TEXT NOT NULL DEFAULT 'off',
    "phishing_resistant_from" TIMESTAMPTZ(6),
    "trusted_device_days" INTEGER NOT NULL DEFAULT 0,
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
) PARTITION BY RANGE ("at");

-- CreateTable
CREATE TABLE "audit_pending" (
    "tenant" TEXT NOT NULL,
    "at" TIMESTAMPTZ(6) NOT NULL,
    "id" UUID NOT NULL,

    CONSTRAINT "audit_pending_pkey" PRIMARY KEY ("tenant","at","id")
);

-- CreateTable
CREATE TABLE "audit_chain" (
    "tenant" TEXT NOT NULL,
    "position" BIGINT NOT NULL,
    "at" TIMESTAMPTZ(6) NOT NULL,
    "id" UUID NOT NULL,
    "event" BYTEA NOT NULL,
    "hash" BYTEA NOT NULL,

    CONSTRAINT "audit_chain_pkey" PRIMARY KEY ("tenant","position")
);

-- CreateTable
CREATE TABLE "audit_heads" (
    "tenant" TEXT NOT NULL,
    "count" BIGINT NOT NULL,
    "hash" BYTEA NOT NULL,

    CONSTRAINT "audit_heads_pkey" PRIMARY KEY ("tenant")
);

-- CreateTable
CREATE TABLE "audit_checkpoints" (
    "tenant" TEXT NOT NULL,
    "count" BIGINT NOT NULL,
    "until" TIMESTAMPTZ(6) NOT NULL,
    "at" TIMESTAMPTZ(6) NOT NULL,
    "kept_since" TIMESTAMPTZ(6) NOT NULL,
    "kid" TEXT NOT NULL,
    "jws" TEXT NOT NULL,

    CONSTRAINT "audit_checkpoints_pkey" PRIMARY KEY ("tenant","count")
);

-- CreateTable
CREATE TABLE "webhook_events" (
    "tenant" TEXT NOT NULL,
    "id" UUID NOT NULL,
    "at" TIMESTAMPTZ(6) NOT NULL,
    "subject" TEXT NOT NULL DEFAULT '',
    "due_at" TIMESTAMPTZ(6) NOT NULL,
    "leased_until" TIMESTAMPTZ(6),
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "tried_since" TIMESTAMPTZ(6),
    "tried_at" TIMESTAMPTZ(6),
    "failure" TEXT,
    "parked_at" TIMESTAMPTZ(6),

    CONSTRAINT "webhook_events_pkey" PRIMARY KEY ("tenant","id")
);

-- CreateTable
CREATE TABLE "webhook_endpoints" (
    "name" TEXT NOT NULL,
    "wanted_until" TIMESTAMPTZ(6) NOT NULL,

    CONSTRAINT "webhook_endpoints_pkey" PRIMARY KEY ("name")
);

-- CreateTable
CREATE TABLE "failures" (
    "tenant" TEXT NOT NULL,
    "user_id" TEXT NOT NULL,
    "source" TEXT NOT NULL,
    "at" TIMESTAMPTZ(6) NOT NULL,

    CONSTRAINT "failures_pkey" PRIMARY KEY ("tenant","user_id","source")
);

-- CreateTable
CREATE TABLE "suspicions" (
    "tenant" TEXT NOT NULL,
    "action" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "at" TIMESTAMPTZ(6) NOT NULL,

    CONSTRAINT "suspicions_pkey" PRIMARY KEY ("tenant","action","key")
);

-- CreateTable
CREATE TABLE "leases" (
    "name" TEXT NOT NULL,
    "holder" UUID NOT NULL,
    "until" TIMESTAMPTZ(6) NOT NULL,

    CONSTRAINT "leases_pkey" PRIMARY KEY ("name")
);

-- CreateTable
CREATE TABLE "keys" (
    "purpose" TEXT NOT NULL,
    "id" TEXT NOT NULL,
    "fingerprint" TEXT NOT NULL,
    "added_at" TIMESTAMPTZ(6) NOT NULL DEFAULT clock_timestamp(),
    "absent_at" TIMESTAMPTZ(6),
    "first_at" TIMESTAMPTZ(6),
    "lost_at" TIMESTAMPTZ(6),

    CONSTRAINT "keys_pkey" PRIMARY KEY ("purpose","id")
);

-- CreateIndex
CREATE INDEX "users_tenant_subject_idx" ON "users"("tenant", "subject");

-- CreateIndex
CREATE INDEX "users_tenant_account_fold_idx" ON "users"("tenant", "account_fold");

-- CreateIndex
CREATE INDEX "users_groups_idx" ON "users" USING GIN ("groups");

-- CreateIndex
CREATE UNIQUE INDEX "users_tenant_namespace_subject_key" ON "users"("tenant", "namespace", "subject");

-- CreateIndex
CREATE INDEX "factors_key_id_tenant_idx" ON "factors"("key_id", "tenant");

-- CreateIndex
CREATE INDEX "factors_tenant_kind_user_id_idx" ON "factors"("tenant", "kind", "user_id");

-- CreateIndex
CREATE UNIQUE INDEX "factors_tenant_user_id_label_key" ON "factors"("tenant", "user_id", "label");

-- CreateIndex
CREATE UNIQUE INDEX "factors_tenant_credential_id_key" ON "factors"("tenant", "credential_id");

-- CreateIndex
CREATE INDEX "bypasses_expires_at_idx" ON "bypasses"("expires_at");

-- CreateIndex
CREATE INDEX "tombstones_pepper_id_idx" ON "tombstones"("pepper_id");

-- CreateIndex
CREATE INDEX "refusals_reported_at_idx" ON "refusals"("reported_at");

-- CreateIndex
CREATE INDEX "mfa_sessions_expires_at_idx" ON "mfa_sessions"("expires_at");

-- CreateIndex
CREATE INDEX "devices_earned_at_idx" ON "devices"("earned_at");

-- CreateIndex
CREATE INDEX "revocations_at_idx" ON "revocations"("at");

-- CreateIndex
CREATE INDEX "policies_updated_at_idx" ON "policies"("updated_at");

-- CreateIndex
CREATE INDEX "audit_events_tenant_subject_at_id_idx" ON "audit_events"("tenant", "subject", "at", "id");

-- CreateIndex
CREATE INDEX "audit_events_tenant_actor_at_id_idx" ON "audit_events"("tenant", "actor", "at", "id");

-- CreateIndex
CREATE UNIQUE INDEX "audit_chain_tenant_at_id_key" ON "audit_chain"("tenant", "at", "id");

-- CreateIndex
CREATE INDEX "audit_checkpoints_kid_idx" ON "audit_checkpoints"("kid");

-- CreateIndex
CREATE INDEX "webhook_events_tenant_at_id_idx" ON "webhook_events"("tenant", "at", "id");

-- CreateIndex
CREATE INDEX "webhook_events_at_idx" ON "webhook_events"("at");

-- CreateIndex
CREATE INDEX "failures_at_idx" ON "failures"("at");

-- AddForeignKey
ALTER TABLE "enrollments" ADD CONSTRAINT "enrollments_tenant_user_id_fkey" FOREIGN KEY ("tenant", "user_id") REFERENCES "users"("tenant", "id") ON DELETE CASCADE ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "factors" ADD CONSTRAINT "factors_tenant_user_id_fkey" FOREIGN KEY ("tenant", "user_id") REFERENCES "users"("tenant", "id") ON DELETE CASCADE ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "recovery_sets" ADD CONSTRAINT "recovery_sets_tenant_user_id_fkey" FOREIGN KEY ("tenant", "user_id") REFERENCES "users"("tenant", "id") ON DELETE CASCADE ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "recovery_codes" ADD CONSTRAINT "recovery_codes_tenant_user_id_fkey" FOREIGN KEY ("tenant", "user_id") REFERENCES "recovery_sets"("tenant", "user_id") ON DELETE CASCADE ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "bypasses" ADD CONSTRAINT "bypasses_tenant_user_id_fkey" FOREIGN KEY ("tenant", "user_id") REFERENCES "users"("tenant", "id") ON DELETE CASCADE ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "throttles" ADD CONSTRAINT "throttles_tenant_user_id_fkey" FOREIGN KEY ("tenant", "user_id") REFERENCES "users"("tenant", "id") ON DELETE CASCADE ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "mfa_sessions" ADD CONSTRAINT "mfa_sessions_tenant_user_id_fkey" FOREIGN KEY ("tenant", "user_id") REFERENCES "users"("tenant", "id") ON DELETE CASCADE ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "devices" ADD CONSTRAINT "devices_tenant_user_id_fkey" FOREIGN KEY ("tenant", "user_id") REFERENCES "users"("tenant", "id") ON DELETE CASCADE ON UPDATE NO ACTION;

-- What a row must be.

ALTER TABLE "users"
  ADD CONSTRAINT "users_grace" CHECK ((policy_met_at IS NULL) = (grace_until IS NULL)),
  ADD CONSTRAINT "users_exemption" CHECK ((exempt_since IS NULL) = (exempt_reason IS NULL) AND (exempt_since IS NULL) = (exempt_by IS NULL)
    AND (exempt_until IS NULL OR exempt_since IS NOT NULL));
ALTER TABLE "policies"
  ADD CONSTRAINT "policies_enforcement" CHECK (enforcement IN ('optional', 'report_only', 'required')),
  ADD CONSTRAINT "policies_sso_rule" CHECK (sso_rule IN ('exempt_sso_only', 'exempt_sso_session', 'none')),
  ADD CONSTRAINT "policies_phishing_resistant" CHECK (phishing_resistant IN ('off', 'administrators', 'required')),
  ADD CONSTRAINT "policies_devices" CHECK (trusted_device_days BETWEEN 0 AND 30),
  ADD CONSTRAINT "policies_grace" CHECK (grace_period_days BETWEEN 0 AND 365);
-- What each kind of factor needs: a kind of its own has a constraint of its own.
ALTER TABLE "factors" ADD CONSTRAINT "factors_totp" CHECK (kind <> 'totp' OR num_nulls(algorithm, digits, period) = 0);
ALTER TABLE "factors" ADD CONSTRAINT "factors_passkey" CHECK (kind <> 'passkey' OR
  (num_nulls(credential_id, rp_id, backup_eligible, aaguid, transports) = 0 AND length(credential_id) BETWEEN 1 AND 1023));
ALTER TABLE "enrollments" ADD CONSTRAINT "enrollments_totp" CHECK (kind <> 'totp' OR num_nulls(algorithm, digits, period) = 0);
ALTER TABLE "recovery_codes" ADD CONSTRAINT "recovery_codes_bcrypt" CHECK (hash ~ '^[$]2[aby][$]1[0-9][$]');
ALTER TABLE "bypasses" ADD CONSTRAINT "bypasses_bcrypt" CHECK (hash ~ '^[$]2[aby][$]1[0-9][$]');

-- For pages of users and for counts. Nothing in them changes at a login.
CREATE INDEX "users_enrolled_idx" ON "users"("tenant", "enrolled_at") WHERE enrolled_at IS NOT NULL AND disabled_at IS NULL;
-- Users without a factor, by cohort: those that are asked what all of their cohort are, and those with a deadline or an exemption of
-- their own, or a role.
CREATE INDEX "users_untimed_idx" ON "users"("tenant", "cohort", "id")
  WHERE enrolled_at IS NULL AND disabled_at IS NULL AND grace_until IS NULL AND exempt_since IS NULL AND administrator_at IS NULL;
CREATE INDEX "users_timed_idx" ON "users"("tenant", "cohort", "id")
  INCLUDE ("policy_met_at", "grace_until", "exempt_since", "exempt_until", "administrator_at")
  WHERE enrolled_at IS NULL AND disabled_at IS NULL
    AND (grace_until IS NOT NULL OR exempt_since IS NOT NULL OR administrator_at IS NOT NULL);
CREATE INDEX "users_disabled_idx" ON "users"("tenant", "id") WHERE disabled_at IS NOT NULL;
CREATE INDEX "users_administrators_idx" ON "users"("tenant", "id") WHERE administrator_at IS NOT NULL;
CREATE INDEX "throttles_locked_idx" ON "throttles"("tenant", "user_id") WHERE locked_at IS NOT NULL;
CREATE INDEX "factors_rp_id_idx" ON "factors"("tenant", "rp_id") WHERE rp_id IS NOT NULL;
CREATE INDEX "recovery_codes_used_idx" ON "recovery_codes"("tenant", "user_id") WHERE used_at IS NOT NULL;
-- A set is hashed with one pepper: its first code speaks for all ten.
CREATE INDEX "recovery_codes_pepper_id" ON "recovery_codes"("pepper_id") WHERE slot = 0;
-- What is not a login is rare among what is. Refused codes are rare among accepted ones, and are what is looked for after an
-- attack: where there are hardly any, a page of them would read a year of logins.
CREATE INDEX "audit_events_rare_idx" ON "audit_events"("tenant", "action", "at", "id") WHERE action NOT IN ('totp.accepted', 'totp.refused', 'passkey.accepted', 'device.used');
CREATE INDEX "audit_events_refused_idx" ON "audit_events"("tenant", "action", "at", "id") WHERE action = 'totp.refused';
-- Which event is tried next, and whether a user's older ones are still there. Both hold what waits and nothing else.
CREATE INDEX "webhook_events_due_idx" ON "webhook_events"("due_at") WHERE parked_at IS NULL;
CREATE INDEX "webhook_events_order_idx" ON "webhook_events"("tenant", "subject", "at", "id") WHERE parked_at IS NULL;

-- No first sight waits until what others left is sorted in, and no page reads it.
ALTER INDEX "users_groups_idx" SET (fastupdate = off);

-- Rows that change often keep room for their next version on the page. At a login, none of what changes is indexed.
ALTER TABLE "factors" SET (fillfactor = 80);
ALTER TABLE "throttles" SET (fillfactor = 80);
ALTER TABLE "user_tallies" SET (fillfactor = 80);
ALTER TABLE "audit_heads" SET (fillfactor = 50);
-- Rows that come and go: the tables stay small if their dead rows are taken soon.
ALTER TABLE "audit_pending" SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE "user_tally_changes" SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_cost_delay = 0);

-- How many users of each cohort there are, as of now: the sum of these rows.
CREATE VIEW current_tallies AS
SELECT tenant, cohort, is_enrolled, accounts, groups, users FROM user_tallies
UNION ALL
SELECT tenant, cohort, is_enrolled, accounts, groups, change FROM user_tally_changes;

-- Makes the partition of a month (UTC), and moves into it what came before it was there. For the owner of the tables alone.
-- Inserts go on, but for those that would go to the default partition: they wait.
CREATE OR REPLACE FUNCTION add_audit_partition(p_at timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  v_month timestamp := date_trunc('month', p_at AT TIME ZONE 'UTC');
  v_from timestamptz := v_month AT TIME ZONE 'UTC';
  v_to timestamptz := (v_month + interval '1 month') AT TIME ZONE 'UTC';
  v_name text := to_char(v_month, '"audit_events_"YYYY_MM');
BEGIN
  IF to_regclass(v_name) IS NOT NULL THEN RETURN false; END IF;
  LOCK TABLE audit_events_default IN ACCESS EXCLUSIVE MODE;
  EXECUTE format('CREATE TABLE %I (LIKE audit_events INCLUDING DEFAULTS)', v_name);
  EXECUTE format('WITH moved AS (DELETE FROM audit_events_default WHERE at >= %L AND at < %L RETURNING *)
    INSERT INTO %I SELECT * FROM moved',
    v_from, v_to, v_name);
  EXECUTE format('ALTER TABLE audit_events ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', v_name, v_from, v_to);
  RETURN true;
END $$;

-- Appends events to a tenant's chain after `p_count` of them, of which the last had `p_hash` (hexadecimal, as all digests here). Decides:
-- of two that append to one head, one does. The chain never forks, whichever replica holds the lease.
CREATE OR REPLACE FUNCTION append_audit(
  p_tenant text, p_count bigint, p_hash text, p_ats timestamptz[], p_ids uuid[], p_events text[], p_hashes text[]
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_new int := cardinality(p_ids);
  v_entered int;
BEGIN
  IF p_count = 0 THEN
    INSERT INTO audit_heads (tenant, count, hash) VALUES (p_tenant, 0, decode(p_hash, 'hex')) ON CONFLICT DO NOTHING;
  END IF;
  UPDATE audit_heads SET count = p_count + v_new, hash = decode(p_hashes[v_new], 'hex')
  WHERE tenant = p_tenant AND count = p_count AND hash = decode(p_hash, 'hex');
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'stale'); END IF;
  DELETE FROM audit_pending p USING unnest(p_ats, p_ids) AS e (at, id) WHERE p.tenant = p_tenant AND p.at = e.at AND p.id = e.id;
  GET DIAGNOSTICS v_entered = ROW_COUNT;
  IF v_entered <> v_new THEN RAISE EXCEPTION 'an event to be chained is not entered'; END IF;
  INSERT INTO audit_chain (tenant, position, at, id, event, hash)
  SELECT p_tenant, p_count + e.n, e.at, e.id, decode(e.event, 'hex'), decode(e.hash, 'hex')
  FROM unnest(p_ats, p_ids, p_events, p_hashes) WITH ORDINALITY AS e (at, id, event, hash, n);
  RETURN jsonb_build_object('outcome', 'appended');
END $$;

-- Writes one audit event, in the transaction of what it records, and enters it for the chain. Nothing is chained here: events of one
-- tenant would wait for each other.
-- What concerns a user, the policy or an attack also leaves a webhook event if there is an endpoint. That is one insert: no settlement
-- waits for a delivery. Logins leave none, and the endpoint is looked for only where there is an event for it.
-- p_by is {actor, address, requestId}.
CREATE OR REPLACE FUNCTION audit(
  p_tenant text, p_subject text, p_action text, p_outcome text, p_kind text, p_by jsonb, p_details jsonb
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_at timestamptz := clock_timestamp();
  v_id uuid := gen_random_uuid();
BEGIN
  INSERT INTO audit_events (tenant, at, id, actor, subject, action, outcome, factor_kind, address, request_id, details)
  VALUES (p_tenant, v_at, v_id, p_by->>'actor', p_subject, p_action, p_outcome, p_kind, p_by->>'address', p_by->>'requestId', p_details);
  INSERT INTO audit_pending (tenant, at, id) VALUES (p_tenant, v_at, v_id);
  IF (p_action = ANY ('{factor.confirmed,factor.removed,device.trusted,recovery.accepted,recovery.low,recovery.regenerated,
    bypass.issued,bypass.used,user.unlocked,user.reset,user.signed_out,user.exempted,user.grace_set,
    user.disabled,user.enabled,user.erased,policy.changed,spray.suspected,guessing.suspected}')
    OR p_action IN (p_kind || '.locked', p_kind || '.suspected'))
    -- What was never confirmed was no factor.
    AND NOT p_details ? 'pending'
  THEN
    IF EXISTS (SELECT 1 FROM webhook_endpoints WHERE wanted_until > v_at) THEN
      INSERT INTO webhook_events (tenant, id, at, subject, due_at) VALUES (p_tenant, v_id, v_at, coalesce(p_subject, ''), v_at);
    END IF;
  END IF;
END $$;

-- Several events of one action, one for each subject. For actions that leave no webhook event: `audit` has the list of those that do.
CREATE OR REPLACE FUNCTION audit_all(
  p_tenant text, p_subjects uuid[], p_action text, p_outcome text, p_kind text, p_bys jsonb[], p_details jsonb[]
) RETURNS void LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  v_at timestamptz := clock_timestamp();
  v_ids uuid[] := ARRAY(SELECT gen_random_uuid() FROM unnest(p_subjects));
BEGIN
  IF cardinality(p_subjects) = 0 THEN RETURN; END IF;
  INSERT INTO audit_events (tenant, at, id, actor, subject, action, outcome, factor_kind, address, request_id, details)
  SELECT p_tenant, v_at, e.id, e.by->>'actor', e.subject::text, p_action, p_outcome, p_kind, e.by->>'address', e.by->>'requestId', e.details
  FROM unnest(v_ids, p_subjects, p_bys, p_details) AS e (id, subject, by, details);
  INSERT INTO audit_pending (tenant, at, id) SELECT p_tenant, v_at, id FROM unnest(v_ids) AS id;
END $$;

-- Keeps a checkpoint, in place of those of the same day (UTC) with fewer events. One without a link of its own stays: that is where
-- retention has cut the chain, and begins what is left of it.
-- Which chains are due to be signed is read from the checkpoints themselves.
CREATE OR REPLACE FUNCTION put_checkpoint(
  p_tenant text, p_count bigint, p_until timestamptz, p_at timestamptz, p_kept_since timestamptz, p_kid text, p_jws text
) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO audit_checkpoints (tenant, count, until, at, kept_since, kid, jws)
  VALUES (p_tenant, p_count, p_until, p_at, p_kept_since, p_kid, p_jws)
  ON CONFLICT (tenant, count) DO UPDATE SET until = excluded.until, at = excluded.at, kept_since = excluded.kept_since, kid = excluded.kid,
    jws = excluded.jws;
  DELETE FROM audit_checkpoints c WHERE c.tenant = p_tenant AND c.count < p_count
    AND c.at >= date_trunc('day', p_at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
    AND EXISTS (SELECT 1 FROM audit_chain l WHERE l.tenant = p_tenant AND l.position = c.count);
  RETURN jsonb_build_object('outcome', 'kept');
END $$;

-- Enters whose codes were refused, from where, and when; of two times of one the later.
-- Attacks are looked for behind the log, by the replica that chains it: no login pays for it, and no function that counts a failure has
-- to know.
CREATE OR REPLACE FUNCTION record_failures(
  p_tenant text, p_users text[], p_sources text[], p_ats timestamptz[]
) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO failures AS f (tenant, user_id, source, at)
  SELECT p_tenant, e.user_id, e.source, max(e.at) FROM unnest(p_users, p_sources, p_ats) AS e (user_id, source, at)
  GROUP BY e.user_id, e.source ORDER BY e.user_id, e.source
  ON CONFLICT (tenant, user_id, source) DO UPDATE SET at = greatest(f.at, excluded.at);
  RETURN jsonb_build_object('outcome', 'recorded');
END $$;

-- Records a suspicion, unless it was known in the last `p_seconds`. Decides: of any number that have it at once, one is reported.
CREATE OR REPLACE FUNCTION suspect(
  p_tenant text, p_action text, p_key text, p_seconds int, p_subject text, p_outcome text, p_kind text, p_by jsonb, p_details jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_since timestamptz := v_now - make_interval(secs => p_seconds);
BEGIN
  INSERT INTO suspicions AS s (tenant, action, key, at) VALUES (p_tenant, p_action, p_key, v_now)
  ON CONFLICT (tenant, action, key) DO UPDATE SET at = excluded.at WHERE s.at <= v_since;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'known'); END IF;
  PERFORM audit(p_tenant, p_subject, p_action, p_outcome, p_kind, p_by, p_details);
  RETURN jsonb_build_object('outcome', 'suspected');
END $$;

-- Are this user's codes being guessed? `p_at` is when one was refused (p_outcome `failure`), or accepted after others had been
-- (`success`): with five refused in the 24 hours before, it is reported, each once in 24 hours. What cost no attempt is none.
-- p_refused are the actions of a refused code, of every kind.
CREATE OR REPLACE FUNCTION suspect_guessing(
  p_tenant text, p_user text, p_at timestamptz, p_outcome text, p_kind text, p_refused text[], p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_failures int;
BEGIN
  SELECT count(*) INTO v_failures FROM audit_events
  WHERE tenant = p_tenant AND subject = p_user AND at > p_at - interval '24 hours' AND at <= p_at
    AND action = ANY (p_refused) AND NOT details ? 'cause';
  IF v_failures < 5 THEN RETURN jsonb_build_object('outcome', 'few'); END IF;
  RETURN suspect(p_tenant, 'guessing.suspected', p_user || ' ' || p_outcome, 86400, p_user, p_outcome, p_kind, p_by,
    jsonb_build_object('failures', v_failures, 'hours', 24));
END $$;

-- Are codes being tried on many users? From one source (`p_source`), or, null, from anywhere: then only if more users of the tenant
-- failed than passed in that hour. Reported once an hour. p_accepted are the actions of an accepted code, of every kind.
CREATE OR REPLACE FUNCTION suspect_spray(p_tenant text, p_source text, p_users int, p_accepted text[]) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_details jsonb := jsonb_build_object('users', p_users, 'hours', 1);
  v_passed int;
BEGIN
  IF p_source IS NOT NULL THEN
    RETURN suspect(p_tenant, 'spray.suspected', p_source, 3600, NULL, 'failure', NULL, '{}',
      v_details || jsonb_build_object('source', p_source));
  END IF;
  -- The log of an hour is read only where the answer is not known yet.
  IF EXISTS (SELECT 1 FROM suspicions WHERE tenant = p_tenant AND action = 'spray.suspected' AND key = '*'
    AND at > clock_timestamp() - interval '1 hour') THEN
    RETURN jsonb_build_object('outcome', 'known');
  END IF;
  SELECT count(DISTINCT subject) INTO v_passed FROM audit_events
  WHERE tenant = p_tenant AND at > clock_timestamp() - interval '1 hour'
    AND action = ANY (p_accepted);
  IF v_passed >= p_users THEN RETURN jsonb_build_object('outcome', 'few'); END IF;
  RETURN suspect(p_tenant, 'spray.suspected', '*', 3600, NULL, 'failure', NULL, '{}', v_details || jsonb_build_object('passed', v_passed));
END $$;

-- Removes a device for its user, or all of them. That takes no second factor, and no epoch: to forget can never need more. The user's row
-- is locked first: of a removal and a new device at once, one comes after the other.
CREATE OR REPLACE FUNCTION forget_devices(p_tenant text, p_user uuid, p_device uuid, p_by jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_removed int;
BEGIN
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id = p_user FOR NO KEY UPDATE;
  v_removed := remove_devices(p_tenant, p_user, CASE WHEN p_device IS NOT NULL THEN ARRAY[p_device] END, '{}', p_by);
  RETURN CASE WHEN v_removed = 0 THEN jsonb_build_object('outcome', 'nothing') ELSE jsonb_build_object('outcome', 'removed') END;
END $$;

-- Removes devices of a user, for the settlement that calls it and has locked their row: those named, or all. What they lifted ends: MFA
-- tokens that they gave are of an older generation of their session. Answers how many there were; p_details is what the events say besides.
-- A session's row outlives the recorded revocation, as in end_session.
CREATE OR REPLACE FUNCTION remove_devices(p_tenant text, p_user uuid, p_devices uuid[], p_details jsonb, p_by jsonb)
RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  v_row record;
  v_removed uuid[] := '{}';
  v_epoch int;
  v_until timestamptz;
BEGIN
  FOR v_row IN
    DELETE FROM devices WHERE tenant = p_tenant AND user_id = p_user AND (p_devices IS NULL OR id = ANY (p_devices)) RETURNING id, name
  LOOP
    v_removed := v_removed || v_row.id;
    PERFORM audit(p_tenant, p_user::text, 'device.removed', 'success', 'device', p_by,
      p_details || jsonb_build_object('deviceId', v_row.id, 'name', v_row.name));
  END LOOP;
  IF cardinality(v_removed) = 0 THEN RETURN 0; END IF;
  v_until := clock_timestamp() + interval '22 minutes';
  SELECT epoch INTO v_epoch FROM users WHERE tenant = p_tenant AND id = p_user;
  FOR v_row IN
    UPDATE mfa_sessions SET generation = generation + 1, acr = NULL, methods = '{}', factor_id = NULL, auth_time = NULL, epoch = NULL,
      ends_at = NULL, mac = NULL, device_id = NULL, expires_at = greatest(expires_at, v_until)
    WHERE tenant = p_tenant AND user_id = p_user AND device_id = ANY (v_removed) RETURNING issuer, session, generation
  LOOP
    PERFORM record_revocation(p_tenant, p_user, v_row.issuer, v_row.session, v_epoch, v_row.generation);
  END LOOP;
  RETURN cardinality(v_removed);
END $$;

-- The same for an administrator, with a reason.
CREATE OR REPLACE FUNCTION revoke_devices(
  p_tenant text, p_user uuid, p_device uuid, p_reason text, p_is_support boolean, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_refused jsonb := lock_user(p_tenant, p_user, p_is_support, p_by);
  v_removed int;
BEGIN
  IF v_refused IS NOT NULL THEN RETURN v_refused; END IF;
  v_removed := remove_devices(p_tenant, p_user, CASE WHEN p_device IS NOT NULL THEN ARRAY[p_device] END,
    jsonb_build_object('reason', p_reason), p_by);
  RETURN CASE WHEN v_removed = 0 THEN jsonb_build_object('outcome', 'nothing') ELSE jsonb_build_object('outcome', 'removed') END;
END $$;

-- Trusts a device of a user: p_mac is over its secret. Decides, by the epoch: none is trusted by what a sign-out, a reset or a removed
-- factor has ended, and none of a user who was seen with a role. Of any number at once the newest p_most stay.
CREATE OR REPLACE FUNCTION trust_device(
  p_tenant text, p_user uuid, p_epoch int, p_device uuid, p_mac bytea, p_name text, p_factor uuid, p_earned_at timestamptz, p_most int,
  p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_older uuid[];
BEGIN
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch AND disabled_at IS NULL AND administrator_at IS NULL
  FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'stale'); END IF;
  -- What has ended with its epoch lifts nothing, and takes no one's place.
  DELETE FROM devices WHERE tenant = p_tenant AND user_id = p_user AND epoch <> p_epoch;
  INSERT INTO devices (tenant, user_id, id, mac, name, factor_id, earned_at, epoch, created_at)
  VALUES (p_tenant, p_user, p_device, p_mac, p_name, p_factor, p_earned_at, p_epoch, clock_timestamp());
  PERFORM audit(p_tenant, p_user::text, 'device.trusted', 'success', 'device', p_by,
    jsonb_build_object('deviceId', p_device, 'name', p_name, 'factorId', p_factor));
  SELECT array_agg(id) INTO v_older FROM (
    SELECT id FROM devices WHERE tenant = p_tenant AND user_id = p_user ORDER BY created_at DESC OFFSET p_most) AS older;
  IF v_older IS NOT NULL THEN PERFORM remove_devices(p_tenant, p_user, v_older, '{"cause": "newer"}', p_by); END IF;
  RETURN jsonb_build_object('outcome', 'trusted');
END $$;

-- Lifts a login session by a device that is not older than p_days. p_authentication is as remember_session has it. Decides, beside the
-- device's removal: what was removed before lifts nothing, and what it has lifted is ended by a removal that comes after, since that one
-- waits for the device's row. The user's row is locked first, as the session refers to it: an erasure then waits for this, or this for it.
-- A session in which something was proved that counts is left alone (`kept`): a device's never takes the place of a code's.
-- What an upsert sets on Citus must be the same on every node: it is computed before.
CREATE OR REPLACE FUNCTION use_device(
  p_tenant text, p_user uuid, p_epoch int, p_device uuid, p_mac bytea, p_days int, p_authentication jsonb, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz;
  v_oldest timestamptz;
  v_ends timestamptz := to_timestamp((p_authentication->>'endsAt')::double precision);
  v_expires timestamptz := v_ends + interval '2 minutes';
  v_earned timestamptz;
  v_factor uuid;
  v_generation int;
BEGIN
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch AND disabled_at IS NULL FOR KEY SHARE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'gone'); END IF;
  v_now := clock_timestamp();
  v_oldest := v_now - p_days * interval '24 hours';
  UPDATE devices SET last_used_at = v_now
  WHERE tenant = p_tenant AND user_id = p_user AND id = p_device AND mac = p_mac AND epoch = p_epoch AND earned_at > v_oldest
  RETURNING earned_at, factor_id INTO v_earned, v_factor;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'gone'); END IF;
  INSERT INTO mfa_sessions AS s (tenant, user_id, issuer, session, acr, factor_id, auth_time, epoch, ends_at, mac, device_id, expires_at)
  VALUES (p_tenant, p_user, p_authentication->>'issuer', p_authentication->>'session', p_authentication->>'acr', v_factor, v_earned,
    p_epoch, v_ends, decode(p_authentication->>'mac', 'hex'), p_device, v_expires)
  ON CONFLICT (tenant, user_id, issuer, session) DO UPDATE SET acr = excluded.acr, methods = excluded.methods,
    factor_id = excluded.factor_id, auth_time = excluded.auth_time, epoch = excluded.epoch, ends_at = excluded.ends_at, mac = excluded.mac,
    device_id = excluded.device_id, expires_at = greatest(s.expires_at, excluded.expires_at)
  WHERE (s.epoch = p_epoch AND s.ends_at > v_now AND (s.device_id IS NULL OR s.auth_time > v_oldest)) IS NOT TRUE
  RETURNING s.generation INTO v_generation;
  IF v_generation IS NULL THEN RETURN jsonb_build_object('outcome', 'kept'); END IF;
  PERFORM audit(p_tenant, p_user::text, 'device.used', 'success', 'device', p_by, jsonb_build_object('deviceId', p_device));
  RETURN jsonb_build_object('outcome', 'accepted', 'generation', v_generation);
END $$;

-- Accepts a code, or what else a factor of a kind answers, by its counter: of TOTP the time step. Decides: of any number of uses of one
-- counter, over every replica, one; never an older one after it.
-- The throttle is locked first, and written only if it has counted something. Whether the user may is asked before the counter is spent:
-- a user may still be disabled meanwhile, and the token that they get then is of an epoch that is over.
-- It is one of the two calls of a login. Each statement asks one table for one tenant, with nothing nested: of these alone Citus keeps a
-- plan. Any other it plans anew for each call, which costs more than all that it then does.
CREATE OR REPLACE FUNCTION accept_factor(
  p_tenant text, p_user uuid, p_kind text, p_epoch int, p_factor uuid, p_counter bigint, p_authentication jsonb, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_throttle throttles%ROWTYPE;
  v_throttled jsonb;
  v_now timestamptz;
  v_generation int;
BEGIN
  SELECT * INTO v_throttle FROM throttles WHERE tenant = p_tenant AND user_id = p_user AND kind = p_kind FOR UPDATE;
  IF NOT FOUND OR v_throttle.locked_at IS NOT NULL OR v_throttle.wait_until IS NOT NULL THEN
    v_throttled := lock_throttle(p_tenant, p_user, p_kind);
    IF v_throttled IS NOT NULL THEN RETURN v_throttled; END IF;
    SELECT * INTO v_throttle FROM throttles WHERE tenant = p_tenant AND user_id = p_user AND kind = p_kind;
  END IF;
  v_now := clock_timestamp();
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch AND disabled_at IS NULL;
  IF FOUND THEN
    UPDATE factors SET counter = p_counter, last_used_at = v_now
    WHERE tenant = p_tenant AND id = p_factor AND user_id = p_user AND kind = p_kind AND counter < p_counter;
  END IF;
  IF NOT FOUND THEN
    PERFORM record_refusal(p_tenant, p_user, p_kind, p_kind, 'spent', p_by);
    RETURN '{"outcome": "spent"}';
  END IF;
  IF v_throttle.failures > 0 OR v_throttle.tries > 0 THEN
    UPDATE throttles SET failures = 0, tries = 0, wait_until = NULL WHERE tenant = p_tenant AND user_id = p_user AND kind = p_kind;
  END IF;
  PERFORM audit(p_tenant, p_user::text, p_kind || '.accepted', 'success', p_kind, p_by, jsonb_build_object('factorId', p_factor));
  IF p_authentication IS NOT NULL THEN v_generation := remember_session(p_tenant, p_user, p_authentication); END IF;
  RETURN jsonb_build_object('outcome', 'accepted', 'generation', v_generation);
END $$;

-- Codes of one kind, of several users: at each place of the lists a user, their epoch, the factor, its counter, the authentication and
-- {actor, address, requestId}. Decides what accept_factor decides, for all of them at once: the throttles of all are locked, that of the
-- lowest id first, so that no two calls wait for each other in a circle; then it is read who the users are; then the counters are spent.
-- Whatever is not as usual is left to accept_factor: who has no throttle yet, waits or is locked, is gone or of another epoch,
-- whose counter is spent, and a user's second code.
-- One statement for each of what has to be done, however many the codes are. Its statements take lists and are planned once: each list
-- would else look cheaper than a list in general. On Citus (13.2.2) a column that is set to no more than an element of a list
-- (`SET a = list[1]`) ends the worker's process: each is in an expression.
CREATE OR REPLACE FUNCTION accept_factors(
  p_tenant text, p_kind text, p_users uuid[], p_epochs int[], p_factors uuid[], p_counters bigint[], p_authentications jsonb[],
  p_bys jsonb[]
) RETURNS jsonb LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  v_row record;
  v_now timestamptz;
  v_open uuid[] := '{}';
  v_counted uuid[] := '{}';
  v_ids uuid[];
  v_epochs int[];
  -- Of those who are as usual, side by side.
  v_places int[] := '{}';
  v_users uuid[] := '{}';
  v_factors uuid[] := '{}';
  v_counters bigint[] := '{}';
  -- Of those whose counter it was.
  v_winners uuid[] := '{}';
  v_bys jsonb[] := '{}';
  v_details jsonb[] := '{}';
  v_place int;
  v_results jsonb[] := array_fill(NULL::jsonb, ARRAY[cardinality(p_users)]);
BEGIN
  FOR v_row IN
    SELECT user_id, failures, tries, wait_until, locked_at FROM throttles
    WHERE tenant = p_tenant AND user_id = ANY (p_users) AND kind = p_kind ORDER BY user_id FOR UPDATE
  LOOP
    CONTINUE WHEN v_row.locked_at IS NOT NULL OR v_row.wait_until > clock_timestamp();
    v_open := v_open || v_row.user_id;
    IF v_row.failures > 0 OR v_row.tries > 0 THEN v_counted := v_counted || v_row.user_id; END IF;
  END LOOP;
  v_now := clock_timestamp();
  SELECT array_agg(id), array_agg(epoch) INTO v_ids, v_epochs FROM users
  WHERE tenant = p_tenant AND id = ANY (v_open) AND disabled_at IS NULL;
  FOR n IN 1 .. cardinality(p_users) LOOP
    CONTINUE WHEN p_users[n] = ANY (v_users) OR v_epochs[array_position(v_ids, p_users[n])] IS DISTINCT FROM p_epochs[n];
    v_places := v_places || n;
    v_users := v_users || p_users[n];
    v_factors := v_factors || p_factors[n];
    v_counters := v_counters || p_counters[n];
  END LOOP;
  FOR v_row IN
    UPDATE factors SET counter = greatest(counter, v_counters[array_position(v_factors, id)]), last_used_at = v_now
    WHERE tenant = p_tenant AND id = ANY (v_factors) AND user_id = v_users[array_position(v_factors, id)] AND kind = p_kind
      AND counter < v_counters[array_position(v_factors, id)]
    RETURNING user_id
  LOOP
    v_place := v_places[array_position(v_users, v_row.user_id)];
    v_winners := v_winners || v_row.user_id;
    v_bys := v_bys || p_bys[v_place];
    v_details := v_details || jsonb_build_object('factorId', p_factors[v_place]);
    v_results[v_place] := '{"outcome": "accepted", "generation": null}';
  END LOOP;
  IF cardinality(v_counted) > 0 THEN
    UPDATE throttles SET failures = 0, tries = 0, wait_until = NULL
    WHERE tenant = p_tenant AND user_id = ANY (v_counted) AND user_id = ANY (v_winners) AND kind = p_kind;
  END IF;
  PERFORM audit_all(p_tenant, v_winners, p_kind || '.accepted', 'success', p_kind, v_bys, v_details);
  FOR n IN 1 .. cardinality(p_users) LOOP
    IF v_results[n] IS NULL THEN
      v_results[n] := accept_factor(p_tenant, p_users[n], p_kind, p_epochs[n], p_factors[n], p_counters[n], p_authentications[n], p_bys[n]);
    ELSIF p_authentications[n] IS NOT NULL THEN
      v_results[n] := jsonb_set(v_results[n], '{generation}', to_jsonb(remember_session(p_tenant, p_users[n], p_authentications[n])));
    END IF;
  END LOOP;
  RETURN to_jsonb(v_results);
END $$;

-- Reserves a confirmation while its recovery codes are hashed, for some seconds, so that fifty parallel requests with the right code cost
-- one set of hashes and not fifty. A holder that dies loses nothing: the claim ends by itself.
-- Without p_is_throttled no throttle is asked.
CREATE OR REPLACE FUNCTION claim_confirmation(
  p_tenant text, p_user uuid, p_kind text, p_is_throttled boolean, p_factor uuid, p_claim uuid, p_seconds int
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_throttled jsonb;
  v_now timestamptz;
BEGIN
  IF p_is_throttled THEN v_throttled := lock_throttle(p_tenant, p_user, p_kind); END IF;
  v_now := clock_timestamp();
  IF v_throttled IS NOT NULL THEN RETURN v_throttled; END IF;
  UPDATE enrollments SET claim = p_claim, claimed_until = v_now + make_interval(secs => p_seconds)
  WHERE tenant = p_tenant AND user_id = p_user AND kind = p_kind AND factor_id = p_factor AND expires_at > v_now
    AND (claim IS NULL OR claim = p_claim OR claimed_until < v_now);
  RETURN jsonb_build_object('outcome', CASE WHEN FOUND THEN 'claimed' ELSE 'spent' END);
END $$;

-- Makes the pending factor active, its counter spent, with the recovery codes ([{slot, hash, tag, pepperId}] or null) if it is the first.
-- p_sealed, under p_key_id, takes the place of the pending factor's secret; null: that stays. p_credential is {id (hexadecimal), rpId,
-- isEligible, aaguid, transports} or null. Without p_is_throttled no throttle is asked.
-- Decides: one confirmation out of any number; no more factors than a user may have and no label twice, by the revision; in a tenant no
-- credential twice, by the unique index: `known`, and the pending factor stays.
-- p_rule says what the first factor needs. `first_administrator`: the tenant has no enrolled administrator yet. Decides: of several first
-- administrators at the same moment one sets up their factor without a code. `probation`: no code was asked though administrators need one.
-- Then this factor, and what is set up by it, administers as late as what comes after a recovery.
CREATE OR REPLACE FUNCTION confirm_factor(
  p_tenant text, p_user uuid, p_kind text, p_is_throttled boolean, p_epoch int, p_revision int, p_factor uuid, p_claim uuid,
  p_sealed bytea, p_key_id text, p_label text, p_counter bigint, p_credential jsonb, p_set uuid, p_codes jsonb, p_rule text,
  p_authentication jsonb, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz;
  v_throttled jsonb;
  v_user users%ROWTYPE;
  v_pending enrollments%ROWTYPE;
  v_transports text[] := CASE WHEN p_credential IS NOT NULL THEN ARRAY(SELECT jsonb_array_elements_text(p_credential->'transports')) END;
BEGIN
  IF p_rule = 'first_administrator' THEN
    PERFORM pg_advisory_xact_lock(hashtextextended('first administrator of ' || p_tenant, 0));
    IF has_administrator(p_tenant) THEN RETURN jsonb_build_object('outcome', 'stale'); END IF;
  END IF;
  SELECT * INTO v_user FROM users
  WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch AND revision = p_revision AND disabled_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'stale'); END IF;
  IF p_is_throttled THEN v_throttled := lock_throttle(p_tenant, p_user, p_kind); END IF;
  IF v_throttled IS NOT NULL THEN RETURN v_throttled; END IF;
  v_now := clock_timestamp();
  SELECT * INTO v_pending FROM enrollments
  WHERE tenant = p_tenant AND user_id = p_user AND kind = p_kind AND factor_id = p_factor AND claim = p_claim AND expires_at > v_now
  FOR UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'spent'); END IF;
  INSERT INTO factors (tenant, id, user_id, kind, label, sealed, key_id, algorithm, digits, period, counter, created_at, confirmed_at,
    after_recovery_at, credential_id, rp_id, backup_eligible, aaguid, transports)
  VALUES (p_tenant, p_factor, p_user, p_kind, p_label, coalesce(p_sealed, v_pending.sealed), coalesce(p_key_id, v_pending.key_id),
    v_pending.algorithm, v_pending.digits, v_pending.period, p_counter, v_pending.created_at, v_now,
    CASE WHEN p_rule = 'probation' THEN v_now ELSE v_user.recovered_at END, decode(p_credential->>'id', 'hex'), p_credential->>'rpId',
    (p_credential->>'isEligible')::boolean, (p_credential->>'aaguid')::uuid, v_transports)
  ON CONFLICT (tenant, credential_id) DO NOTHING;
  IF NOT FOUND THEN
    UPDATE enrollments SET claim = NULL, claimed_until = NULL WHERE tenant = p_tenant AND user_id = p_user AND kind = p_kind;
    RETURN jsonb_build_object('outcome', 'known');
  END IF;
  DELETE FROM enrollments WHERE tenant = p_tenant AND user_id = p_user AND kind = p_kind;
  IF p_codes IS NOT NULL THEN
    PERFORM store_codes(p_tenant, p_user, p_set, p_codes);
  END IF;
  UPDATE users SET revision = revision + 1, code_required_at = NULL,
    recovered_at = CASE WHEN p_rule = 'probation' THEN v_now ELSE recovered_at END
  WHERE tenant = p_tenant AND id = p_user;
  PERFORM update_enrolled_at(p_tenant, p_user);
  UPDATE throttles SET failures = 0, tries = 0, wait_until = NULL
  WHERE tenant = p_tenant AND user_id = p_user AND kind = p_kind;
  PERFORM audit(p_tenant, p_user::text, 'factor.confirmed', 'success', p_kind, p_by,
    jsonb_build_object('factorId', p_factor, 'label', p_label));
  RETURN jsonb_build_object('outcome', 'confirmed', 'generation', remember_session(p_tenant, p_user, p_authentication));
END $$;

-- Counts a refused answer to a pending factor: the fifth destroys it.
CREATE OR REPLACE FUNCTION count_attempt(p_tenant text, p_user uuid, p_kind text, p_factor uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM enrollments WHERE tenant = p_tenant AND user_id = p_user AND kind = p_kind AND factor_id = p_factor AND attempts >= 4;
  UPDATE enrollments SET attempts = attempts + 1 WHERE tenant = p_tenant AND user_id = p_user AND kind = p_kind AND factor_id = p_factor;
END $$;

-- Accepts the signed answer of a passkey, by its challenge: p_challenge has the milliseconds of its issue above 20 random bits. Decides: a
-- challenge counts once for a passkey, over every call and replica, for as long as it may be answered; the counter of a passkey that lives
-- on one device never goes back, and what lives on several is never again said to live on one. Two tries of one challenge lock one row, and
-- the second finds it among those that are spent.
-- Only p_most that are spent are kept: where there are so many, none counts that is older than all of them.
-- The user's row is locked before the factor's, as the session that is remembered refers to it: an erasure then waits for this, or this for
-- it. What was refused is recorded by a call of its own: rows of refusals are locked before those of factors.
CREATE OR REPLACE FUNCTION accept_passkey(
  p_tenant text, p_user uuid, p_epoch int, p_factor uuid, p_challenge bigint, p_ttl_seconds int, p_most int, p_counter bigint,
  p_is_eligible boolean, p_authentication jsonb, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_row factors%ROWTYPE;
  v_now timestamptz;
  v_oldest bigint;
  v_spent bigint[];
  v_cause text;
  v_generation int;
  v_details jsonb := jsonb_build_object('factorId', p_factor);
BEGIN
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch AND disabled_at IS NULL FOR KEY SHARE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'refused', 'cause', 'stale'); END IF;
  SELECT * INTO v_row FROM factors WHERE tenant = p_tenant AND id = p_factor AND user_id = p_user AND kind = 'passkey' FOR UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'refused', 'cause', 'stale'); END IF;
  v_now := clock_timestamp();
  v_oldest := (floor(extract(epoch FROM v_now) * 1000)::bigint - p_ttl_seconds * 1000::bigint) << 20;
  v_spent := ARRAY(SELECT each FROM unnest(v_row.spent) AS each WHERE each >= v_oldest ORDER BY each);
  v_cause := CASE
    WHEN p_challenge < v_oldest THEN 'expired'
    WHEN p_challenge = ANY (v_spent) OR (cardinality(v_spent) >= p_most AND p_challenge < v_spent[1]) THEN 'spent'
    WHEN v_row.backup_eligible AND NOT p_is_eligible THEN 'flags'
    WHEN NOT p_is_eligible AND p_counter <= v_row.counter AND v_row.counter > 0 THEN 'counter'
  END;
  IF v_cause = 'counter' THEN
    PERFORM suspect(p_tenant, 'passkey.suspected', p_factor::text, 86400, p_user::text, 'failure', 'passkey', p_by, v_details);
  END IF;
  IF v_cause IS NOT NULL THEN RETURN jsonb_build_object('outcome', 'refused', 'cause', v_cause); END IF;
  v_spent := v_spent[greatest(1, cardinality(v_spent) - p_most + 2):] || p_challenge;
  p_counter := greatest(v_row.counter, p_counter);
  UPDATE factors SET spent = v_spent, last_used_at = v_now, counter = p_counter, backup_eligible = p_is_eligible
  WHERE tenant = p_tenant AND id = p_factor;
  -- From now on its counter is not looked at.
  IF p_is_eligible AND NOT v_row.backup_eligible THEN v_details := v_details || '{"synced": true}'; END IF;
  PERFORM audit(p_tenant, p_user::text, 'passkey.accepted', 'success', 'passkey', p_by, v_details);
  IF p_authentication IS NOT NULL THEN v_generation := remember_session(p_tenant, p_user, p_authentication); END IF;
  RETURN jsonb_build_object('outcome', 'accepted', 'generation', v_generation);
END $$;

-- Spends a bypass code. Decides: one use out of any number, before it ends. What a recovery code clears, and says of the factors that
-- come after it, a bypass code does too.
-- The codes that remain are counted in a statement of their own: on Citus an expression may not ask for rows beside a call that does.
CREATE OR REPLACE FUNCTION accept_bypass(
  p_tenant text, p_user uuid, p_epoch int, p_hash text, p_kinds text[], p_authentication jsonb, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz;
  v_remaining int;
BEGIN
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch AND disabled_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'spent'); END IF;
  v_now := clock_timestamp();
  UPDATE bypasses SET used_at = v_now
  WHERE tenant = p_tenant AND user_id = p_user AND hash = p_hash AND used_at IS NULL AND expires_at > v_now;
  IF NOT FOUND THEN
    PERFORM record_refusal(p_tenant, p_user, 'recovery', 'bypass', 'spent', p_by);
    RETURN jsonb_build_object('outcome', 'spent');
  END IF;
  PERFORM 1 FROM throttles WHERE tenant = p_tenant AND user_id = p_user AND kind = ANY (p_kinds) ORDER BY kind FOR UPDATE;
  UPDATE throttles SET failures = 0, tries = 0, wait_until = NULL, locked_at = NULL, recent = '{}'
  WHERE tenant = p_tenant AND user_id = p_user AND kind = ANY (p_kinds);
  UPDATE users SET recovered_at = v_now WHERE tenant = p_tenant AND id = p_user;
  PERFORM audit(p_tenant, p_user::text, 'bypass.used', 'success', 'bypass', p_by, '{}');
  SELECT count(*) INTO v_remaining FROM recovery_codes WHERE tenant = p_tenant AND user_id = p_user AND used_at IS NULL;
  PERFORM remove_devices(p_tenant, p_user, NULL, '{"cause": "recovery"}', p_by);
  RETURN jsonb_build_object('outcome', 'accepted', 'remaining', v_remaining,
    'generation', remember_session(p_tenant, p_user, p_authentication));
END $$;

-- Spends a recovery code. Decides: one use out of any number. Clears run, wait, lock and budget of the kinds of factor that p_kinds
-- names: else an attacker with just the password could shut the account's owner out for a month.
-- Trusted devices go, and what they lifted ends: the user has lost something.
-- What is set comes from a variable, as Citus does not let an UPDATE ask the clock for each row. It is taken when the locks are held, so
-- that waiting for them makes it no earlier.
CREATE OR REPLACE FUNCTION accept_recovery(
  p_tenant text, p_user uuid, p_epoch int, p_slot int, p_hash text, p_kinds text[], p_authentication jsonb, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz;
  v_remaining int;
BEGIN
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch AND disabled_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'spent'); END IF;
  v_now := clock_timestamp();
  UPDATE recovery_codes SET used_at = v_now
  WHERE tenant = p_tenant AND user_id = p_user AND slot = p_slot AND hash = p_hash AND used_at IS NULL;
  IF NOT FOUND THEN
    PERFORM record_refusal(p_tenant, p_user, 'recovery', 'recovery', 'spent', p_by);
    RETURN jsonb_build_object('outcome', 'spent');
  END IF;
  PERFORM 1 FROM throttles WHERE tenant = p_tenant AND user_id = p_user AND kind = ANY (p_kinds) ORDER BY kind FOR UPDATE;
  UPDATE throttles SET failures = 0, tries = 0, wait_until = NULL, locked_at = NULL, recent = '{}'
  WHERE tenant = p_tenant AND user_id = p_user AND kind = ANY (p_kinds);
  UPDATE users SET recovered_at = v_now WHERE tenant = p_tenant AND id = p_user;
  SELECT count(*) INTO v_remaining FROM recovery_codes
  WHERE tenant = p_tenant AND user_id = p_user AND used_at IS NULL;
  PERFORM audit(p_tenant, p_user::text, 'recovery.accepted', 'success', 'recovery', p_by,
    jsonb_build_object('remaining', v_remaining));
  IF v_remaining IN (3, 1, 0) THEN
    PERFORM audit(p_tenant, p_user::text, 'recovery.low', 'success', 'recovery', p_by,
      jsonb_build_object('remaining', v_remaining));
  END IF;
  PERFORM remove_devices(p_tenant, p_user, NULL, '{"cause": "recovery"}', p_by);
  RETURN jsonb_build_object('outcome', 'accepted', 'remaining', v_remaining,
    'generation', remember_session(p_tenant, p_user, p_authentication));
END $$;

-- Records that a set of codes is saved; the first time counts. A set that was replaced meanwhile does not exist any more: `nothing`.
CREATE OR REPLACE FUNCTION acknowledge_codes(p_tenant text, p_user uuid, p_set uuid) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  UPDATE recovery_sets SET acknowledged_at = now() WHERE tenant = p_tenant AND user_id = p_user AND id = p_set AND acknowledged_at IS NULL;
  RETURN jsonb_build_object('outcome', CASE WHEN FOUND THEN 'acknowledged' ELSE 'nothing' END);
END $$;

-- May a user's recovery codes be hashed anew now? `claimed`, and then no other call of theirs for p_seconds or until it is done;
-- `waiting` for that, and once there were p_per_hour in an hour. Decides, over all replicas: slow hashing that a user asks for goes one at
-- a time, and so often and no more.
CREATE OR REPLACE FUNCTION claim_renewal(p_tenant text, p_user uuid, p_epoch int, p_per_hour int, p_seconds int)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz;
  v_until timestamptz;
  v_recent timestamptz[];
BEGIN
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch AND disabled_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'stale'); END IF;
  INSERT INTO throttles (tenant, user_id, kind) VALUES (p_tenant, p_user, 'renew') ON CONFLICT DO NOTHING;
  SELECT wait_until, ARRAY(SELECT r FROM unnest(recent) AS r WHERE r > clock_timestamp() - interval '1 hour' ORDER BY r)
  INTO v_until, v_recent
  FROM throttles WHERE tenant = p_tenant AND user_id = p_user AND kind = 'renew' FOR UPDATE;
  v_now := clock_timestamp();
  IF cardinality(v_recent) >= p_per_hour THEN v_until := greatest(v_until, v_recent[1] + interval '1 hour'); END IF;
  IF v_until > v_now THEN RETURN jsonb_build_object('outcome', 'waiting', 'seconds', seconds_until(v_until)); END IF;
  UPDATE throttles SET recent = v_recent || v_now, wait_until = v_now + make_interval(secs => p_seconds)
  WHERE tenant = p_tenant AND user_id = p_user AND kind = 'renew';
  RETURN jsonb_build_object('outcome', 'claimed');
END $$;

-- Gives a user a code for one login. Decides: of parallel ones the last one committed stands.
CREATE OR REPLACE FUNCTION issue_bypass(p_tenant text, p_user uuid, p_reason text, p_bypass jsonb, p_is_support boolean, p_by jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_refused jsonb := lock_user(p_tenant, p_user, p_is_support, p_by);
  v_until timestamptz;
BEGIN
  IF v_refused IS NOT NULL THEN RETURN v_refused; END IF;
  v_until := store_bypass(p_tenant, p_user, p_bypass);
  PERFORM audit(p_tenant, p_user::text, 'bypass.issued', 'success', NULL, p_by,
    jsonb_build_object('reason', p_reason, 'expiresAt', v_until));
  RETURN jsonb_build_object('outcome', 'issued', 'expiresAt', v_until);
END $$;

-- Replaces the whole set, for who has claimed it. Decides: of parallel replacements the last one committed stands, whole.
CREATE OR REPLACE FUNCTION replace_codes(p_tenant text, p_user uuid, p_epoch int, p_set uuid, p_codes jsonb, p_by jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch AND disabled_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND OR NOT EXISTS (SELECT 1 FROM factors WHERE tenant = p_tenant AND user_id = p_user) THEN
    RETURN jsonb_build_object('outcome', 'stale');
  END IF;
  UPDATE throttles SET wait_until = NULL WHERE tenant = p_tenant AND user_id = p_user AND kind = 'renew';
  PERFORM store_codes(p_tenant, p_user, p_set, p_codes);
  PERFORM audit(p_tenant, p_user::text, 'recovery.regenerated', 'success', 'recovery', p_by, '{}');
  RETURN jsonb_build_object('outcome', 'replaced');
END $$;

-- Puts a bypass code in the place of any earlier one. p_bypass is {id, hash, tag, pepperId, seconds}.
-- Answers when it ends.
CREATE OR REPLACE FUNCTION store_bypass(p_tenant text, p_user uuid, p_bypass jsonb) RETURNS timestamptz LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_until timestamptz := v_now + make_interval(secs => (p_bypass->>'seconds')::int);
BEGIN
  DELETE FROM bypasses WHERE tenant = p_tenant AND user_id = p_user;
  INSERT INTO bypasses (tenant, user_id, id, hash, tag, pepper_id, created_at, expires_at)
  VALUES (p_tenant, p_user, (p_bypass->>'id')::uuid, p_bypass->>'hash', (p_bypass->>'tag')::int, p_bypass->>'pepperId', v_now, v_until);
  RETURN v_until;
END $$;

-- Puts a set of recovery codes in the place of any earlier one. p_codes is [{slot, hash, tag, pepperId}].
CREATE OR REPLACE FUNCTION store_codes(p_tenant text, p_user uuid, p_set uuid, p_codes jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM recovery_sets WHERE tenant = p_tenant AND user_id = p_user;
  INSERT INTO recovery_sets (tenant, user_id, id, generated_at) VALUES (p_tenant, p_user, p_set, clock_timestamp());
  INSERT INTO recovery_codes (tenant, user_id, slot, hash, tag, pepper_id)
  SELECT p_tenant, p_user, (c->>'slot')::smallint, c->>'hash', (c->>'tag')::int, c->>'pepperId' FROM jsonb_array_elements(p_codes) AS c;
END $$;

-- Counts a refused code of a kind, unless other failures have closed the throttle meanwhile: then nothing was looked at.
-- Decides: of any number of parallel guesses, only as many as the waits allow are answered "refused".
-- p_limits is {waits: seconds[], maxWait, lock, day, month}; p_pending the factor whose confirmation was tried, if any;
-- p_near, for the audit alone, {factorId, stepsAway} of a code that would have been right at another time.
CREATE OR REPLACE FUNCTION refuse_factor(
  p_tenant text, p_user uuid, p_kind text, p_weight int, p_limits jsonb, p_pending uuid, p_near jsonb, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_throttled jsonb;
  v_now timestamptz := clock_timestamp();
  v_row throttles%ROWTYPE;
  v_recent timestamptz[];
BEGIN
  v_throttled := lock_throttle(p_tenant, p_user, p_kind);
  IF v_throttled IS NOT NULL THEN RETURN v_throttled; END IF;
  SELECT * INTO v_row FROM throttles WHERE tenant = p_tenant AND user_id = p_user AND kind = p_kind;
  v_row.failures := v_row.failures + 1;
  v_row.tries := v_row.tries + p_weight;
  v_recent := ARRAY(SELECT f FROM unnest(v_row.recent) AS f WHERE f > v_now - interval '30 days' ORDER BY f)
    || array_fill(v_now, ARRAY[p_weight]);
  v_row.wait_until := next_try(p_limits, v_row.failures, v_recent, v_now);
  UPDATE throttles SET failures = v_row.failures, tries = v_row.tries, recent = v_recent,
    wait_until = CASE WHEN v_row.wait_until > v_now THEN v_row.wait_until END,
    locked_at = CASE WHEN v_row.tries >= (p_limits->>'lock')::int THEN v_now END
  WHERE tenant = p_tenant AND user_id = p_user AND kind = p_kind;
  IF p_pending IS NOT NULL THEN
    PERFORM count_attempt(p_tenant, p_user, p_kind, p_pending);
  END IF;
  PERFORM audit(p_tenant, p_user::text, p_kind || '.refused', 'failure', p_kind, p_by, coalesce(p_near, '{}'));
  IF v_row.tries >= (p_limits->>'lock')::int THEN
    PERFORM audit(p_tenant, p_user::text, p_kind || '.locked', 'failure', p_kind, p_by, '{}');
  END IF;
  RETURN jsonb_build_object('outcome', 'refused');
END $$;

-- Refused codes of one kind, of several users: at each place of the lists a user, the weight, the pending factor, what
-- refuse_factor takes as p_near, and {actor, address, requestId}.
-- Decides what refuse_factor decides, for all of them at once. Whatever is not as usual is left to refuse_factor: who has no throttle yet,
-- waits or is locked, or will be by this one; who has a failure that has aged; who tried a pending factor; and a user's second code.
-- Its statements take lists and are planned once, as those of accept_factors.
CREATE OR REPLACE FUNCTION refuse_factors(
  p_tenant text, p_kind text, p_limits jsonb, p_users uuid[], p_weights int[], p_pendings uuid[], p_nears jsonb[], p_bys jsonb[]
) RETURNS jsonb LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  v_row record;
  v_now timestamptz;
  v_place int;
  -- Of those who are as usual, side by side.
  v_users uuid[] := '{}';
  v_weights int[] := '{}';
  v_nows timestamptz[] := '{}';
  v_waits timestamptz[] := '{}';
  v_nears jsonb[] := '{}';
  v_bys jsonb[] := '{}';
  v_results jsonb[] := array_fill(NULL::jsonb, ARRAY[cardinality(p_users)]);
BEGIN
  FOR v_row IN
    SELECT user_id, failures, tries, recent, wait_until, locked_at FROM throttles
    WHERE tenant = p_tenant AND user_id = ANY (p_users) AND kind = p_kind ORDER BY user_id FOR UPDATE
  LOOP
    v_now := clock_timestamp();
    v_place := array_position(p_users, v_row.user_id);
    CONTINUE WHEN v_row.locked_at IS NOT NULL OR v_row.wait_until > v_now OR v_row.recent[1] <= v_now - interval '30 days'
      OR v_row.tries + p_weights[v_place] >= (p_limits->>'lock')::int OR p_pendings[v_place] IS NOT NULL;
    v_users := v_users || v_row.user_id;
    v_weights := v_weights || p_weights[v_place];
    v_nows := v_nows || v_now;
    v_waits := v_waits || next_try(p_limits, v_row.failures + 1, v_row.recent || array_fill(v_now, p_weights[v_place:v_place]), v_now);
    v_nears := v_nears || coalesce(p_nears[v_place], '{}');
    v_bys := v_bys || p_bys[v_place];
    v_results[v_place] := '{"outcome": "refused"}';
  END LOOP;
  IF cardinality(v_users) > 0 THEN
    UPDATE throttles SET failures = failures + 1, tries = tries + v_weights[array_position(v_users, user_id)],
      recent = recent || array_fill(v_nows[array_position(v_users, user_id)], ARRAY[v_weights[array_position(v_users, user_id)]]),
      wait_until = CASE WHEN v_waits[array_position(v_users, user_id)] > v_nows[array_position(v_users, user_id)]
        THEN v_waits[array_position(v_users, user_id)] END
    WHERE tenant = p_tenant AND user_id = ANY (v_users) AND kind = p_kind;
    PERFORM audit_all(p_tenant, v_users, p_kind || '.refused', 'failure', p_kind, v_bys, v_nears);
  END IF;
  FOR n IN 1 .. cardinality(p_users) LOOP
    IF v_results[n] IS NULL THEN
      v_results[n] := refuse_factor(p_tenant, p_users[n], p_kind, p_weights[n], p_limits, p_pendings[n], p_nears[n], p_bys[n]);
    END IF;
  END LOOP;
  RETURN to_jsonb(v_results);
END $$;

-- Records a refused answer to a pending factor of a kind without a throttle, for the reason p_cause.
CREATE OR REPLACE FUNCTION refuse_pending(p_tenant text, p_user uuid, p_kind text, p_factor uuid, p_cause text, p_by jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_result jsonb := record_refusal(p_tenant, p_user, p_kind, p_kind, p_cause, p_by);
BEGIN
  PERFORM count_attempt(p_tenant, p_user, p_kind, p_factor);
  RETURN v_result;
END $$;

-- Removes a factor and moves the epoch; with the last one go the recovery codes. Decides, by the revision: no user is left with codes
-- and no factor, or with a factor and no codes, whatever else is confirmed or removed beside it.
CREATE OR REPLACE FUNCTION remove_factor(
  p_tenant text, p_user uuid, p_epoch int, p_revision int, p_factor uuid, p_authentication jsonb, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_epoch int;
  v_gone factors%ROWTYPE;
BEGIN
  UPDATE users SET revision = revision + 1
  WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch AND revision = p_revision AND disabled_at IS NULL
    AND EXISTS (SELECT 1 FROM factors f WHERE f.tenant = p_tenant AND f.user_id = p_user AND f.id = p_factor);
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'stale'); END IF;
  v_epoch := bump_epoch(p_tenant, p_user);
  DELETE FROM factors WHERE tenant = p_tenant AND user_id = p_user AND id = p_factor RETURNING * INTO v_gone;
  IF NOT EXISTS (SELECT 1 FROM factors WHERE tenant = p_tenant AND user_id = p_user) THEN
    DELETE FROM recovery_sets WHERE tenant = p_tenant AND user_id = p_user;
  END IF;
  PERFORM update_enrolled_at(p_tenant, p_user);
  PERFORM audit(p_tenant, p_user::text, 'factor.removed', 'success', v_gone.kind, p_by, jsonb_build_object(
    'factorId', p_factor, 'label', v_gone.label, 'confirmedAt', v_gone.confirmed_at, 'lastUsedAt', v_gone.last_used_at));
  RETURN jsonb_build_object('outcome', 'removed', 'epoch', v_epoch, 'generation', remember_session(p_tenant, p_user, p_authentication));
END $$;

-- Removes a factor that was started and not confirmed.
CREATE OR REPLACE FUNCTION remove_pending(p_tenant text, p_user uuid, p_factor uuid, p_by jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_kind text;
BEGIN
  IF is_actor_gone(p_tenant, NULL, p_by) THEN RETURN jsonb_build_object('outcome', 'actor_gone'); END IF;
  DELETE FROM enrollments WHERE tenant = p_tenant AND user_id = p_user AND factor_id = p_factor RETURNING kind INTO v_kind;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'gone'); END IF;
  PERFORM audit(p_tenant, p_user::text, 'factor.removed', 'success', v_kind, p_by,
    jsonb_build_object('factorId', p_factor, 'pending', true));
  RETURN jsonb_build_object('outcome', 'removed');
END $$;

-- Renames an active factor, or the caller's pending one. The unique index decides who has a label; the revision moves, so that a
-- confirmation beside it decides on its label anew.
CREATE OR REPLACE FUNCTION rename_factor(p_tenant text, p_user uuid, p_epoch int, p_factor uuid, p_label text, p_by jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz;
  v_kind text;
BEGIN
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch AND disabled_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'gone'); END IF;
  v_now := clock_timestamp();
  UPDATE factors SET label = p_label WHERE tenant = p_tenant AND user_id = p_user AND id = p_factor RETURNING kind INTO v_kind;
  IF NOT FOUND THEN
    UPDATE enrollments SET label = p_label
    WHERE tenant = p_tenant AND user_id = p_user AND factor_id = p_factor AND expires_at > v_now RETURNING kind INTO v_kind;
    IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'gone'); END IF;
  END IF;
  UPDATE users SET revision = revision + 1 WHERE tenant = p_tenant AND id = p_user;
  PERFORM audit(p_tenant, p_user::text, 'factor.renamed', 'success', v_kind, p_by,
    jsonb_build_object('factorId', p_factor, 'label', p_label));
  RETURN jsonb_build_object('outcome', 'renamed');
EXCEPTION WHEN unique_violation THEN
  RETURN jsonb_build_object('outcome', 'taken');
END $$;

-- Right and wrong codes of one kind, of several users, that were compared at the same moment: each is decided by accept_factor or
-- refuse_factor as if it were alone, in the order given, which is that of the users' ids, and of one user that in which they came.
-- Decides: which of one user's guesses is looked at does not depend on which of them is right.
-- p_attempts is a list of {userId, factorId, epoch, counter, authentication, by} for a right code, of
-- {userId, weight, limits, pendingId, near, by}
-- for a wrong one.
CREATE OR REPLACE FUNCTION settle_factors(p_tenant text, p_kind text, p_attempts jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_attempt jsonb;
  v_user uuid;
  v_results jsonb := '[]';
BEGIN
  FOR v_attempt IN SELECT attempt FROM jsonb_array_elements(p_attempts) WITH ORDINALITY AS a (attempt, place) ORDER BY place LOOP
    v_user := (v_attempt->>'userId')::uuid;
    IF v_attempt ? 'counter' THEN
      v_results := v_results || accept_factor(p_tenant, v_user, p_kind, (v_attempt->>'epoch')::int, (v_attempt->>'factorId')::uuid,
        (v_attempt->>'counter')::bigint, nullif(v_attempt->'authentication', 'null'), v_attempt->'by');
    ELSE
      v_results := v_results || refuse_factor(p_tenant, v_user, p_kind, (v_attempt->>'weight')::int, v_attempt->'limits',
        (v_attempt->>'pendingId')::uuid, nullif(v_attempt->'near', 'null'), v_attempt->'by');
    END IF;
  END LOOP;
  RETURN v_results;
END $$;

-- Starts an enrollment in place of an earlier one of the kind, for the user that the decision was about: not after a reset that came
-- between.
-- Decides: at most one pending factor of a kind per user, and `p_per_hour` starts an hour.
CREATE OR REPLACE FUNCTION start_enrollment(
  p_tenant text, p_user uuid, p_kind text, p_epoch int, p_factor uuid, p_label text, p_session text, p_sealed bytea, p_key_id text,
  p_algorithm text, p_digits int, p_period int,  p_ttl_seconds int, p_per_hour int, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz;
  v_recent timestamptz[];
BEGIN
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch AND disabled_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'stale'); END IF;
  INSERT INTO throttles (tenant, user_id, kind) VALUES (p_tenant, p_user, 'enroll') ON CONFLICT DO NOTHING;
  SELECT ARRAY(SELECT s FROM unnest(recent) AS s WHERE s > clock_timestamp() - interval '1 hour' ORDER BY s) INTO v_recent
  FROM throttles WHERE tenant = p_tenant AND user_id = p_user AND kind = 'enroll' FOR UPDATE;
  v_now := clock_timestamp();
  IF cardinality(v_recent) >= p_per_hour THEN
    RETURN jsonb_build_object('outcome', 'waiting',
      'seconds', seconds_until(v_recent[cardinality(v_recent) - p_per_hour + 1] + interval '1 hour'));
  END IF;
  UPDATE throttles SET recent = v_recent || v_now WHERE tenant = p_tenant AND user_id = p_user AND kind = 'enroll';
  DELETE FROM enrollments WHERE tenant = p_tenant AND user_id = p_user AND kind = p_kind;
  INSERT INTO enrollments (tenant, user_id, kind, factor_id, label, session, sealed, key_id, algorithm, digits, period, created_at,
    expires_at)
  VALUES (p_tenant, p_user, p_kind, p_factor, p_label, p_session, p_sealed, p_key_id, p_algorithm, p_digits, p_period, v_now,
    v_now + make_interval(secs => p_ttl_seconds));
  PERFORM audit(p_tenant, p_user::text, 'factor.started', 'success', p_kind, p_by, jsonb_build_object('factorId', p_factor));
  RETURN jsonb_build_object('outcome', 'started', 'expiresAt', v_now + make_interval(secs => p_ttl_seconds));
END $$;

-- Clears run, wait, lock and budget of every kind. Answers what there was, by kind, for the audit.
CREATE OR REPLACE FUNCTION clear_throttles(p_tenant text, p_user uuid) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_cleared jsonb;
BEGIN
  PERFORM 1 FROM throttles WHERE tenant = p_tenant AND user_id = p_user ORDER BY kind FOR UPDATE;
  SELECT coalesce(jsonb_object_agg(kind, jsonb_build_object('failures', failures, 'waitUntil', wait_until, 'lockedAt', locked_at,
    'budget', cardinality(recent))), '{}') INTO v_cleared
  FROM throttles WHERE tenant = p_tenant AND user_id = p_user AND (failures > 0 OR tries > 0 OR locked_at IS NOT NULL OR recent <> '{}');
  UPDATE throttles SET failures = 0, tries = 0, wait_until = NULL, locked_at = NULL, recent = '{}'
  WHERE tenant = p_tenant AND user_id = p_user;
  RETURN v_cleared;
END $$;

-- Locks the user's throttle of a kind, which is made when it is first asked for, and says whether a code may be looked at: null, or the
-- outcome that forbids it. Decides: of two that make it at the same moment, the later one finds what the first has counted.
CREATE OR REPLACE FUNCTION lock_throttle(p_tenant text, p_user uuid, p_kind text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_row throttles%ROWTYPE;
BEGIN
  SELECT * INTO v_row FROM throttles WHERE tenant = p_tenant AND user_id = p_user AND kind = p_kind FOR UPDATE;
  IF NOT FOUND THEN
    PERFORM 1 FROM users WHERE tenant = p_tenant AND id = p_user;
    IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'lost'); END IF;
    INSERT INTO throttles (tenant, user_id, kind) VALUES (p_tenant, p_user, p_kind) ON CONFLICT DO NOTHING;
    SELECT * INTO v_row FROM throttles WHERE tenant = p_tenant AND user_id = p_user AND kind = p_kind FOR UPDATE;
  END IF;
  IF v_row.locked_at IS NOT NULL THEN
    RETURN jsonb_build_object('outcome', 'locked');
  ELSIF v_row.wait_until > clock_timestamp() THEN
    RETURN jsonb_build_object('outcome', 'waiting', 'seconds', seconds_until(v_row.wait_until));
  END IF;
  RETURN NULL;
END $$;

-- When a user who has failed so often, and at these moments, may try again: a wait for each failure in a row, and no more failures in a
-- day and in a month than the budget has. The budget opens again when so many have aged that fewer are left.
CREATE OR REPLACE FUNCTION next_try(
  p_limits jsonb, p_failures int, p_recent timestamptz[], p_now timestamptz
) RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
DECLARE
  v_waits int := jsonb_array_length(p_limits->'waits');
  v_wait double precision := least((p_limits->>'maxWait')::double precision,
    (p_limits->'waits'->>(least(p_failures, v_waits) - 1))::double precision
      * power(2::double precision, least(greatest(p_failures - v_waits, 0), 30)));
BEGIN
  RETURN greatest(
    p_now + make_interval(secs => v_wait),
    p_recent[cardinality(p_recent) - (p_limits->>'day')::int + 1] + interval '24 hours',
    p_recent[cardinality(p_recent) - (p_limits->>'month')::int + 1] + interval '30 days');
END $$;

-- Counts a refused code that costs no attempt: of recovery and bypass codes each, of TOTP one whose step is spent. Decides, over all
-- replicas: of such codes of one user there is at most one event a minute, with how many there were since the last; else an attacker with a
-- password could fill the audit. p_call is how the event's name begins; p_cause is null for a code that was simply not there.
CREATE OR REPLACE FUNCTION record_refusal(p_tenant text, p_user uuid, p_call text, p_kind text, p_cause text, p_by jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_row refusals%ROWTYPE;
BEGIN
  INSERT INTO refusals (tenant, user_id, call, kind, reported_at) VALUES (p_tenant, p_user, p_call, p_kind, '-infinity')
  ON CONFLICT DO NOTHING;
  SELECT * INTO v_row FROM refusals WHERE tenant = p_tenant AND user_id = p_user AND call = p_call FOR UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'lost'); END IF;
  UPDATE refusals SET kind = p_kind, made_by = p_by, unreported = unreported + 1,
    cause = CASE WHEN v_row.unreported = 0 OR v_row.cause = p_cause THEN p_cause END
  WHERE tenant = p_tenant AND user_id = p_user AND call = p_call;
  IF v_row.reported_at <= v_now - interval '1 minute' THEN PERFORM report_refusals(p_tenant, p_user, p_call); END IF;
  RETURN jsonb_build_object('outcome', 'refused');
END $$;

-- Writes the event of what record_refusal has counted of a user since the last one; where that is nothing, the count has ended. The caller
-- says when: once a minute has passed. Decides: each refusal is reported once, however many replicas look.
CREATE OR REPLACE FUNCTION report_refusals(p_tenant text, p_user uuid, p_call text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_row refusals%ROWTYPE;
BEGIN
  SELECT * INTO v_row FROM refusals
  WHERE tenant = p_tenant AND user_id = p_user AND call = p_call AND reported_at <= v_now - interval '1 minute' FOR UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'reported'); END IF;
  IF v_row.unreported = 0 THEN
    DELETE FROM refusals WHERE tenant = p_tenant AND user_id = p_user AND call = p_call;
  ELSE
    UPDATE refusals SET reported_at = v_now, unreported = 0, cause = NULL WHERE tenant = p_tenant AND user_id = p_user AND call = p_call;
    PERFORM audit(p_tenant, p_user::text, p_call || '.refused', 'failure', v_row.kind, v_row.made_by,
      jsonb_strip_nulls(jsonb_build_object('count', v_row.unreported, 'cause', v_row.cause)));
  END IF;
  RETURN jsonb_build_object('outcome', 'reported');
END $$;

-- `Retry-After`: whole seconds, never 0.
CREATE OR REPLACE FUNCTION seconds_until(p_until timestamptz) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  RETURN greatest(1, ceil(extract(epoch FROM p_until - clock_timestamp())));
END $$;

-- Ends every wait and lock. Failures that are counted beside it come before it or after it, whole.
CREATE OR REPLACE FUNCTION unlock_user(
  p_tenant text, p_user uuid, p_reason text, p_is_support boolean, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_refused jsonb := lock_user(p_tenant, p_user, p_is_support, p_by);
BEGIN
  IF v_refused IS NOT NULL THEN RETURN v_refused; END IF;
  PERFORM audit(p_tenant, p_user::text, 'user.unlocked', 'success', NULL, p_by,
    jsonb_build_object('reason', p_reason, 'cleared', clear_throttles(p_tenant, p_user)));
  RETURN jsonb_build_object('outcome', 'unlocked');
END $$;

-- Keeps `enrolled_at` with the factors: called by whatever has added or removed one.
CREATE OR REPLACE FUNCTION update_enrolled_at(p_tenant text, p_user uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_before users%ROWTYPE;
  v_since timestamptz;
BEGIN
  SELECT * INTO v_before FROM users WHERE tenant = p_tenant AND id = p_user FOR NO KEY UPDATE;
  SELECT min(confirmed_at) INTO v_since FROM factors WHERE tenant = p_tenant AND user_id = p_user;
  IF (v_since IS NULL) = (v_before.enrolled_at IS NULL) THEN RETURN; END IF;
  UPDATE users SET enrolled_at = v_since WHERE tenant = p_tenant AND id = p_user;
  PERFORM tally_user(p_tenant, p_user, v_before);
END $$;

-- The first use of a key, recorded in the audit of every tenant where another one was in use before. Decides: of any number of replicas
-- that begin with it, one records it.
CREATE OR REPLACE FUNCTION begin_key(p_purpose text, p_id text, p_by jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_from text;
  v_tenant text;
BEGIN
  UPDATE keys SET first_at = clock_timestamp() WHERE purpose = p_purpose AND id = p_id AND first_at IS NULL;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'known'); END IF;
  SELECT id INTO v_from FROM keys WHERE purpose = p_purpose AND id <> p_id AND first_at IS NOT NULL ORDER BY first_at DESC LIMIT 1;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'begun'); END IF;
  FOR v_tenant IN SELECT tenant FROM audit_heads ORDER BY tenant LOOP
    PERFORM audit(v_tenant, NULL, 'key.rotated', 'success', NULL, p_by,
      jsonb_build_object('purpose', p_purpose, 'from', v_from, 'to', p_id));
  END LOOP;
  RETURN jsonb_build_object('outcome', 'begun');
END $$;

-- An operator says that this key is lost; recorded in the audit of every tenant. What it has sealed or hashed stays, and never opens:
-- a user who has lost their second factor by it is asked for one all the same.
CREATE OR REPLACE FUNCTION forget_key(p_purpose text, p_id text, p_by jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_tenant text;
BEGIN
  UPDATE keys SET lost_at = clock_timestamp() WHERE purpose = p_purpose AND id = p_id AND lost_at IS NULL;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'unknown'); END IF;
  FOR v_tenant IN SELECT tenant FROM audit_heads ORDER BY tenant LOOP
    PERFORM audit(v_tenant, NULL, 'key.rotated', 'success', NULL, p_by, jsonb_build_object('purpose', p_purpose, 'lost', p_id));
  END LOOP;
  RETURN jsonb_build_object('outcome', 'forgotten');
END $$;

-- The keys that rows need: {sealing: ids[], pepper: ids[]}. By steps through the indexes: it takes as long as there are ids, not rows.
CREATE OR REPLACE FUNCTION keys_in_use() RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
  v_sealing text[] := ARRAY(SELECT DISTINCT key_id FROM enrollments WHERE expires_at > clock_timestamp());
  v_peppers text[] := '{}';
  v_id text;
BEGIN
  SELECT min(key_id) INTO v_id FROM factors;
  WHILE v_id IS NOT NULL LOOP
    v_sealing := v_sealing || v_id;
    SELECT min(key_id) INTO v_id FROM factors WHERE key_id > v_id;
  END LOOP;
  SELECT min(pepper_id) INTO v_id FROM recovery_codes WHERE slot = 0;
  WHILE v_id IS NOT NULL LOOP
    v_peppers := v_peppers || v_id;
    SELECT min(pepper_id) INTO v_id FROM recovery_codes WHERE slot = 0 AND pepper_id > v_id;
  END LOOP;
  RETURN jsonb_build_object('sealing', to_jsonb(v_sealing), 'pepper', to_jsonb(v_peppers));
END $$;

-- A replica says which keys it has ([{purpose, id, fingerprint, isFirst}]), every few seconds: each is known from then on under its
-- fingerprint, those that it lacks are marked, and those that it seals, hashes or signs with. Answers the keys that were never a replica's
-- first before (`begun`), or, with no effect, one that has another fingerprint.
CREATE OR REPLACE FUNCTION report_keys(p_keys jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_other keys%ROWTYPE;
  v_begun jsonb;
BEGIN
  SELECT k.* INTO v_other FROM keys k JOIN jsonb_array_elements(p_keys) AS e ON k.purpose = e->>'purpose' AND k.id = e->>'id'
  WHERE k.fingerprint <> e->>'fingerprint' LIMIT 1;
  IF FOUND THEN RETURN jsonb_build_object('outcome', 'other', 'purpose', v_other.purpose, 'id', v_other.id); END IF;
  INSERT INTO keys AS k (purpose, id, fingerprint, added_at)
  SELECT e->>'purpose', e->>'id', e->>'fingerprint', v_now FROM jsonb_array_elements(p_keys) AS e ORDER BY 1, 2
  ON CONFLICT DO NOTHING;
  -- Of two that bring different keys of one id at the same moment, the later one finds it here.
  PERFORM 1 FROM keys k JOIN jsonb_array_elements(p_keys) AS e ON k.purpose = e->>'purpose' AND k.id = e->>'id'
  WHERE k.fingerprint <> e->>'fingerprint';
  IF FOUND THEN RAISE EXCEPTION 'another key of that id was made known just now'; END IF;
  UPDATE keys k SET absent_at = v_now
  WHERE (k.absent_at IS NULL OR k.absent_at < v_now - interval '3 seconds')
    AND NOT EXISTS (SELECT 1 FROM jsonb_array_elements(p_keys) AS e WHERE k.purpose = e->>'purpose' AND k.id = e->>'id');
  UPDATE keys k SET first_at = v_now
  FROM jsonb_array_elements(p_keys) AS e
  WHERE k.purpose = e->>'purpose' AND k.id = e->>'id' AND (e->>'isFirst')::boolean AND k.first_at < v_now - interval '3 seconds';
  SELECT coalesce(jsonb_agg(jsonb_build_object('purpose', k.purpose, 'id', k.id)), '[]') INTO v_begun
  FROM keys k JOIN jsonb_array_elements(p_keys) AS e ON k.purpose = e->>'purpose' AND k.id = e->>'id'
  WHERE (e->>'isFirst')::boolean AND k.first_at IS NULL;
  RETURN jsonb_build_object('outcome', 'reported', 'begun', v_begun);
END $$;

-- Puts secrets under another key, of one tenant: p_rows is [{id, was, sealed}], a factor's id and the bytes (hexadecimal) that it was read
-- with and is to have. Decides the race with whatever changed a row meanwhile: that row stays as it is, and is found again if it is still
-- of the old key. A login in between opens what it has read, by the key that is still there. Locks in the order of the ids, so that two who
-- do this at once wait for each other and do not deadlock.
CREATE OR REPLACE FUNCTION reseal(p_tenant text, p_from text, p_to text, p_rows jsonb, p_by jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_ids uuid[] := ARRAY(SELECT (r->>'id')::uuid FROM jsonb_array_elements(p_rows) AS r);
  v_factors int;
  v_pending int;
BEGIN
  PERFORM 1 FROM enrollments WHERE tenant = p_tenant AND factor_id = ANY(v_ids) AND key_id = p_from ORDER BY user_id FOR NO KEY UPDATE;
  PERFORM 1 FROM factors WHERE tenant = p_tenant AND id = ANY(v_ids) AND key_id = p_from ORDER BY id FOR NO KEY UPDATE;
  UPDATE enrollments e SET sealed = decode(r->>'sealed', 'hex'), key_id = p_to FROM jsonb_array_elements(p_rows) AS r
  WHERE e.tenant = p_tenant AND e.factor_id = (r->>'id')::uuid AND e.key_id = p_from AND e.sealed = decode(r->>'was', 'hex');
  GET DIAGNOSTICS v_pending = ROW_COUNT;
  UPDATE factors f SET sealed = decode(r->>'sealed', 'hex'), key_id = p_to FROM jsonb_array_elements(p_rows) AS r
  WHERE f.tenant = p_tenant AND f.id = (r->>'id')::uuid AND f.key_id = p_from AND f.sealed = decode(r->>'was', 'hex');
  GET DIAGNOSTICS v_factors = ROW_COUNT;
  IF v_factors + v_pending > 0 THEN
    PERFORM audit(p_tenant, NULL, 'key.rotated', 'success', NULL, p_by,
      jsonb_build_object('purpose', 'sealing', 'from', p_from, 'to', p_to, 'resealed', v_factors + v_pending));
  END IF;
  RETURN jsonb_build_object('outcome', 'resealed', 'rows', v_factors + v_pending);
END $$;

-- Takes or renews what one replica alone should do. Decides: of any number of replicas one holds it at a time.
CREATE OR REPLACE FUNCTION take_lease(p_name text, p_holder uuid, p_seconds int) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
BEGIN
  INSERT INTO leases AS l (name, holder, until) VALUES (p_name, p_holder, v_now + make_interval(secs => p_seconds))
  ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until WHERE l.holder = excluded.holder OR l.until < v_now;
  RETURN jsonb_build_object('outcome', CASE WHEN FOUND THEN 'held' ELSE 'taken' END);
END $$;

-- Exempts a user until a time (null: without an end), or ends that. p_max_days is the floor's; null: any.
CREATE OR REPLACE FUNCTION exempt_user(
  p_tenant text, p_user uuid, p_exempt boolean, p_until timestamptz, p_reason text, p_max_days int, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz;
BEGIN
  IF is_actor_gone(p_tenant, p_user, p_by) THEN RETURN jsonb_build_object('outcome', 'actor_gone'); END IF;
  IF p_until <= clock_timestamp() THEN RETURN jsonb_build_object('outcome', 'past'); END IF;
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id = p_user FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'gone'); END IF;
  v_now := clock_timestamp();
  IF p_exempt AND coalesce(p_until, 'infinity') > v_now + p_max_days * interval '24 hours' THEN
    RETURN jsonb_build_object('outcome', 'below');
  END IF;
  UPDATE users SET exempt_since = CASE WHEN p_exempt THEN v_now END, exempt_until = p_until,
    exempt_reason = CASE WHEN p_exempt THEN p_reason END, exempt_by = CASE WHEN p_exempt THEN p_by->>'actor' END
  WHERE tenant = p_tenant AND id = p_user;
  PERFORM audit(p_tenant, p_user::text, 'user.exempted', 'success', NULL, p_by,
    jsonb_build_object('exempt', p_exempt, 'reason', p_reason, 'until', p_until));
  RETURN jsonb_build_object('outcome', 'set');
END $$;

-- The tenant's policy, for callers without a user to read it with. Null where none was set.
CREATE OR REPLACE FUNCTION find_policy(p_tenant text) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
  v_row policies%ROWTYPE;
BEGIN
  SELECT * INTO v_row FROM policies WHERE tenant = p_tenant;
  RETURN CASE WHEN FOUND THEN policy_json(v_row) END;
END $$;

-- A policy as the service reads it; no group at all stands for all users.
CREATE OR REPLACE FUNCTION policy_json(p_row policies) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN jsonb_build_object('enforcement', p_row.enforcement,
    'groups', CASE WHEN cardinality(p_row.groups) > 0 THEN to_jsonb(p_row.groups) END,
    'gracePeriodDays', p_row.grace_period_days, 'enforceFrom', p_row.enforce_from, 'ssoRule', p_row.sso_rule,
    'phishingResistant', p_row.phishing_resistant, 'phishingResistantFrom', p_row.phishing_resistant_from,
    'trustedDeviceDays', p_row.trusted_device_days,
    'version', p_row.version, 'updatedAt', p_row.updated_at, 'updatedBy', p_row.updated_by);
END $$;

-- Changes a policy; `p_patch` holds the fields to set, and a reason is audited with it. Decides: of two changes of one version, one does
-- (p_expected null: any). Answers the policy that it made. `from` is the version that it was changed from: the policy's own where nothing
-- is other than before.
CREATE OR REPLACE FUNCTION put_policy(
  p_tenant text, p_expected int, p_patch jsonb, p_reason text, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_old policies%ROWTYPE;
  v_new policies%ROWTYPE;
BEGIN
  IF is_actor_gone(p_tenant, NULL, p_by) THEN RETURN jsonb_build_object('outcome', 'actor_gone'); END IF;
  INSERT INTO policies (tenant) VALUES (p_tenant) ON CONFLICT DO NOTHING;
  SELECT * INTO v_old FROM policies WHERE tenant = p_tenant FOR UPDATE;
  IF v_old.version <> p_expected THEN RETURN jsonb_build_object('outcome', 'stale'); END IF;
  v_new := v_old;
  v_new.enforcement := coalesce(p_patch->>'enforcement', v_old.enforcement);
  v_new.sso_rule := coalesce(p_patch->>'ssoRule', v_old.sso_rule);
  v_new.grace_period_days := coalesce((p_patch->>'gracePeriodDays')::int, v_old.grace_period_days);
  IF p_patch ? 'groups' THEN
    v_new.groups := ARRAY(SELECT jsonb_array_elements_text(
      CASE WHEN jsonb_typeof(p_patch->'groups') = 'array' THEN p_patch->'groups' ELSE '[]' END));
  END IF;
  IF p_patch ? 'enforceFrom' THEN
    v_new.enforce_from := (p_patch->>'enforceFrom')::timestamptz;
  END IF;
  v_new.phishing_resistant := coalesce(p_patch->>'phishingResistant', v_old.phishing_resistant);
  IF p_patch ? 'phishingResistantFrom' THEN
    v_new.phishing_resistant_from := (p_patch->>'phishingResistantFrom')::timestamptz;
  END IF;
  v_new.trusted_device_days := coalesce((p_patch->>'trustedDeviceDays')::int, v_old.trusted_device_days);
  IF v_new IS DISTINCT FROM v_old THEN
    v_new.version := v_old.version + 1;
    v_new.updated_at := clock_timestamp();
    v_new.updated_by := p_by->>'actor';
    UPDATE policies SET enforcement = v_new.enforcement, groups = v_new.groups, grace_period_days = v_new.grace_period_days,
      enforce_from = v_new.enforce_from, sso_rule = v_new.sso_rule, phishing_resistant = v_new.phishing_resistant,
      phishing_resistant_from = v_new.phishing_resistant_from,
      trusted_device_days = v_new.trusted_device_days,
      version = v_new.version, updated_at = v_new.updated_at, updated_by = v_new.updated_by
    WHERE tenant = p_tenant;
    PERFORM audit(p_tenant, NULL, 'policy.changed', 'success', NULL, p_by,
      jsonb_strip_nulls(jsonb_build_object('reason', p_reason)) || jsonb_build_object(
      'before', policy_json(v_old) - '{version,updatedAt,updatedBy}'::text[],
      'after', policy_json(v_new) - '{version,updatedAt,updatedBy}'::text[]));
  END IF;
  RETURN jsonb_build_object('outcome', 'changed', 'from', v_old.version, 'policy', policy_json(v_new));
END $$;

-- Records what a decision saw in a user for the first time, each part once; null is nothing to record. Decides: of any number of first
-- calls, one gives the deadline (p_grace_days from the database's now) and one writes the report. A policy of another version than the
-- decision's gives no deadline: the next call decides on that one.
-- Who is seen with a role has no trusted devices any more, and what these lifted ends.
-- A day is 24 hours, whatever time zone the server has: as the decision counts it.
CREATE OR REPLACE FUNCTION record_policy_contact(
  p_tenant text, p_user uuid, p_version int, p_grace_days int, p_would_be jsonb, p_is_administrator boolean, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
BEGIN
  IF p_grace_days IS NOT NULL THEN
    UPDATE users SET policy_met_at = v_now, grace_until = v_now + p_grace_days * interval '24 hours'
    WHERE tenant = p_tenant AND id = p_user AND grace_until IS NULL
      AND p_version = coalesce((SELECT version FROM policies WHERE tenant = p_tenant), 0);
  END IF;
  IF p_would_be IS NOT NULL THEN
    UPDATE users SET reported_version = p_version
    WHERE tenant = p_tenant AND id = p_user AND reported_version IS DISTINCT FROM p_version;
    IF FOUND THEN
      PERFORM audit(p_tenant, p_user::text, 'policy.would_enroll', 'success', NULL, p_by, p_would_be);
    END IF;
  END IF;
  IF p_is_administrator THEN
    UPDATE users SET administrator_at = v_now WHERE tenant = p_tenant AND id = p_user AND administrator_at IS NULL;
    IF FOUND THEN PERFORM remove_devices(p_tenant, p_user, NULL, '{"cause": "administrator"}', p_by); END IF;
  END IF;
  RETURN jsonb_build_object('outcome', 'recorded');
END $$;

-- Sets a user's deadline. Decides: what the floor allows from the first contact (p_max_days; null: any) is asked of the row as it is when
-- it is written. What comes after leaves it alone: only an administrator moves a deadline.
CREATE OR REPLACE FUNCTION set_grace(p_tenant text, p_user uuid, p_until timestamptz, p_reason text, p_max_days int, p_by jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz;
  v_user users%ROWTYPE;
BEGIN
  IF is_actor_gone(p_tenant, p_user, p_by) THEN RETURN jsonb_build_object('outcome', 'actor_gone'); END IF;
  IF p_until <= clock_timestamp() THEN RETURN jsonb_build_object('outcome', 'past'); END IF;
  SELECT * INTO v_user FROM users WHERE tenant = p_tenant AND id = p_user FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'gone'); END IF;
  v_now := clock_timestamp();
  IF p_until > coalesce(v_user.policy_met_at, v_now) + p_max_days * interval '24 hours' THEN
    RETURN jsonb_build_object('outcome', 'below');
  END IF;
  UPDATE users SET grace_until = p_until, policy_met_at = coalesce(policy_met_at, v_now) WHERE tenant = p_tenant AND id = p_user;
  PERFORM audit(p_tenant, p_user::text, 'user.grace_set', 'success', NULL, p_by,
    jsonb_build_object('reason', p_reason, 'before', v_user.grace_until, 'after', p_until));
  RETURN jsonb_build_object('outcome', 'set');
END $$;

-- Ends every MFA token and remembered authentication of a user, for the settlement that calls it; their row of `users` is locked from here
-- on. Answers the new epoch; null if there is no such user.
CREATE OR REPLACE FUNCTION bump_epoch(p_tenant text, p_user uuid) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  v_epoch int;
BEGIN
  UPDATE users SET epoch = epoch + 1 WHERE tenant = p_tenant AND id = p_user RETURNING epoch INTO v_epoch;
  IF FOUND THEN
    PERFORM record_revocation(p_tenant, p_user, '', '', v_epoch, 0);
  END IF;
  RETURN v_epoch;
END $$;

-- Logs a session out: its authentication is forgotten, and MFA tokens that were issued for it so far are of an older generation. A later
-- code counts again.
-- The revocation is recorded with the epoch as it is once the session's row is locked, so that no token that was issued for the session
-- so far is of a newer one. The row stays until the last of the tokens has ended, and outlives the recorded revocation (20 minutes): a
-- generation that began anew while an older revocation is known would be dead.
CREATE OR REPLACE FUNCTION end_session(p_tenant text, p_user uuid, p_issuer text, p_session text, p_by jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_generation int;
  v_epoch int;
BEGIN
  INSERT INTO mfa_sessions AS s (tenant, user_id, issuer, session, generation, expires_at)
  VALUES (p_tenant, p_user, p_issuer, p_session, 1, clock_timestamp() + interval '22 minutes')
  ON CONFLICT (tenant, user_id, issuer, session) DO UPDATE SET generation = s.generation + 1, acr = NULL, methods = '{}',
    factor_id = NULL, auth_time = NULL, epoch = NULL, ends_at = NULL, mac = NULL, device_id = NULL,
    expires_at = greatest(s.expires_at, excluded.expires_at)
  RETURNING s.generation INTO v_generation;
  SELECT epoch INTO v_epoch FROM users WHERE tenant = p_tenant AND id = p_user;
  PERFORM record_revocation(p_tenant, p_user, p_issuer, p_session, v_epoch, v_generation);
  PERFORM audit(p_tenant, p_user::text, 'session.ended', 'success', NULL, p_by, '{}');
  RETURN jsonb_build_object('outcome', 'ended');
END $$;

-- Records that tokens of an older epoch are dead; or, of that epoch and of one session, those of an older generation. Whatever moves a
-- user's epoch or a session's generation calls it in the same transaction: every replica reads what is new here some times a second, and so
-- refuses an MFA token without asking the database.
-- The table has no foreign key: an erased user's tokens are dead, too.
CREATE OR REPLACE FUNCTION record_revocation(p_tenant text, p_user uuid, p_issuer text, p_session text, p_epoch int, p_generation int)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO revocations (tenant, user_id, issuer, session, epoch, generation, at)
  VALUES (p_tenant, p_user, p_issuer, p_session, p_epoch, p_generation, clock_timestamp())
  ON CONFLICT (tenant, user_id, issuer, session) DO UPDATE SET
    epoch = excluded.epoch, generation = excluded.generation, at = excluded.at;
END $$;

-- Remembers the authentication for the login session that it was done in, in the statement that accepts the code: null for a session that
-- is not remembered. p_authentication is {issuer, session, acr, methods, factorId, authTime, epoch, endsAt, mac}. Answers the generation.
-- The row outlives every token that is issued for the session, and what an earlier log-out needs: a generation that began anew would let
-- tokens live which that log-out ended.
-- Tokens that a device gave the session end with it: what was proved now does not end with that device.
-- What an upsert sets on Citus must be the same on every node: it is computed before.
CREATE OR REPLACE FUNCTION remember_session(p_tenant text, p_user uuid, p_authentication jsonb) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  v_at timestamptz := to_timestamp((p_authentication->>'authTime')::double precision);
  v_ends timestamptz := to_timestamp((p_authentication->>'endsAt')::double precision);
  v_expires timestamptz := greatest(v_ends + interval '2 minutes', v_at + interval '22 minutes');
  v_generation int;
  v_device uuid;
  v_methods text[] := ARRAY(SELECT jsonb_array_elements_text(p_authentication->'methods'));
BEGIN
  IF p_authentication IS NULL THEN RETURN NULL; END IF;
  INSERT INTO mfa_sessions AS s (tenant, user_id, issuer, session, acr, methods, factor_id, auth_time, epoch, ends_at, mac, expires_at)
  VALUES (p_tenant, p_user, p_authentication->>'issuer', p_authentication->>'session', p_authentication->>'acr', v_methods,
    (p_authentication->>'factorId')::uuid, v_at, (p_authentication->>'epoch')::int, v_ends,
    decode(p_authentication->>'mac', 'hex'), v_expires)
  ON CONFLICT (tenant, user_id, issuer, session) DO UPDATE SET acr = excluded.acr, methods = excluded.methods,
    factor_id = excluded.factor_id, auth_time = excluded.auth_time, epoch = excluded.epoch, ends_at = excluded.ends_at, mac = excluded.mac,
    expires_at = greatest(s.expires_at, excluded.expires_at)
  RETURNING s.generation, s.device_id INTO v_generation, v_device;
  IF v_device IS NOT NULL THEN
    UPDATE mfa_sessions SET generation = generation + 1, device_id = NULL
    WHERE tenant = p_tenant AND user_id = p_user AND issuer = p_authentication->>'issuer' AND session = p_authentication->>'session'
    RETURNING generation INTO v_generation;
    PERFORM record_revocation(p_tenant, p_user, p_authentication->>'issuer', p_authentication->>'session',
      (p_authentication->>'epoch')::int, v_generation);
  END IF;
  RETURN v_generation;
END $$;

-- Signs a user out everywhere: every MFA token and every remembered authentication is of an older epoch.
CREATE OR REPLACE FUNCTION sign_out(p_tenant text, p_user uuid, p_epoch int, p_by jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'stale'); END IF;
  PERFORM bump_epoch(p_tenant, p_user);
  DELETE FROM mfa_sessions WHERE tenant = p_tenant AND user_id = p_user;
  PERFORM audit(p_tenant, p_user::text, 'user.signed_out', 'success', NULL, p_by, '{}');
  RETURN jsonb_build_object('outcome', 'signed_out');
END $$;

-- Signs a user out everywhere, for an administrator, whatever the epoch is.
CREATE OR REPLACE FUNCTION sign_out_user(
  p_tenant text, p_user uuid, p_reason text, p_is_support boolean, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_refused jsonb := lock_user(p_tenant, p_user, p_is_support, p_by);
  v_epoch int;
BEGIN
  IF v_refused IS NOT NULL THEN RETURN v_refused; END IF;
  v_epoch := bump_epoch(p_tenant, p_user);
  DELETE FROM mfa_sessions WHERE tenant = p_tenant AND user_id = p_user;
  PERFORM audit(p_tenant, p_user::text, 'user.signed_out', 'success', NULL, p_by, jsonb_build_object('reason', p_reason));
  RETURN jsonb_build_object('outcome', 'signed_out');
END $$;

-- Lets a user in again who was disabled.
CREATE OR REPLACE FUNCTION enable_user(p_tenant text, p_user uuid, p_reason text, p_by jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_before users%ROWTYPE;
BEGIN
  SELECT * INTO v_before FROM users WHERE tenant = p_tenant AND id = p_user FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'gone'); END IF;
  IF v_before.disabled_at IS NULL THEN RETURN jsonb_build_object('outcome', 'nothing'); END IF;
  UPDATE users SET disabled_at = NULL WHERE tenant = p_tenant AND id = p_user;
  PERFORM tally_user(p_tenant, p_user, v_before);
  PERFORM audit(p_tenant, p_user::text, 'user.enabled', 'success', NULL, p_by, jsonb_build_object('reason', p_reason));
  RETURN jsonb_build_object('outcome', 'enabled');
END $$;

-- Takes a user out of the database; the tombstone stays: p_tombstone is {hash, pepperId, hashes: those of every pepper, at}. `at` is what a
-- replica's clock says, since it is by replicas' clocks that tokens were issued: the later one counts. Decides: what waits for the user
-- finds none, and what would record them anew finds the tombstone. Rows are locked in the usual order before their own goes, which those
-- who add a row to them hold.
CREATE OR REPLACE FUNCTION erase_user(
  p_tenant text, p_user uuid, p_reason text, p_tombstone jsonb, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_refused jsonb := lock_user(p_tenant, p_user, false, p_by);
  v_before users%ROWTYPE;
  v_epoch int;
BEGIN
  IF v_refused IS NOT NULL THEN RETURN v_refused; END IF;
  PERFORM 1 FROM throttles WHERE tenant = p_tenant AND user_id = p_user ORDER BY kind FOR UPDATE;
  v_epoch := bump_epoch(p_tenant, p_user);
  SELECT * INTO v_before FROM users WHERE tenant = p_tenant AND id = p_user;
  DELETE FROM tombstones WHERE tenant = p_tenant AND hash IN (SELECT jsonb_array_elements_text(p_tombstone->'hashes'));
  INSERT INTO tombstones (tenant, hash, pepper_id, epoch, disabled_at, erased_at)
  VALUES (p_tenant, p_tombstone->>'hash', p_tombstone->>'pepperId', v_epoch, v_before.disabled_at,
    greatest(clock_timestamp(), (p_tombstone->>'at')::timestamptz));
  PERFORM audit(p_tenant, p_user::text, 'user.erased', 'success', NULL, p_by, jsonb_build_object('reason', p_reason));
  DELETE FROM refusals WHERE tenant = p_tenant AND user_id = p_user;
  DELETE FROM users WHERE tenant = p_tenant AND id = p_user;
  PERFORM tally_user(p_tenant, p_user, v_before);
  RETURN jsonb_build_object('outcome', 'erased');
END $$;

-- Some users of a tenant, by the subjects of one namespace or, without one, by their ids; null where there are none. With the time of the
-- reading, by which deadlines and exemptions end. Rows are told as they are, and what follows from them is for the caller; each says whose
-- it is. Enrollments, recovery codes and devices are read where they are asked for. Of an enrollment and a session only what still counts.
-- It is one of the two calls of a login. One small statement for each table, naming the tenant: on Citus it is planned once, for one shard;
-- the inner parts of one with all of it would be asked of every shard there is. The statements take lists and are planned once: each list
-- would else look cheaper than a list in general.
CREATE OR REPLACE FUNCTION find_users(p_tenant text, p_namespace text, p_names text[], p_sessions text[], p_is_whole boolean)
RETURNS json LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_ids uuid[] := '{}';
  v_users json;
  v_factors json;
  v_pending json;
  v_sets json;
  v_codes json;
  v_devices json;
  v_throttles json;
  v_policy json;
  v_row record;
  v_sessions json;
BEGIN
  IF p_namespace IS NULL THEN
    v_ids := p_names::uuid[];
    SELECT json_agg(json_build_object('id', id, 'namespace', namespace, 'subject', subject, 'account', account, 'epoch', epoch,
      'revision', revision, 'sources', sources, 'isDisabled', disabled_at IS NOT NULL, 'isAdministrator', administrator_at IS NOT NULL,
      'isCodeRequired', code_required_at IS NOT NULL, 'tokensSince', tokens_since, 'createdAt', created_at, 'policyMetAt', policy_met_at,
      'graceUntil', grace_until, 'reportedVersion', reported_version, 'exemptSince', exempt_since, 'exemptUntil', exempt_until,
      'exemptReason', exempt_reason, 'exemptBy', exempt_by))
    INTO v_users FROM users WHERE tenant = p_tenant AND id = ANY (v_ids);
  ELSE
    SELECT array_agg(id), json_agg(json_build_object('id', id, 'namespace', namespace, 'subject', subject, 'account', account,
      'epoch', epoch,
      'revision', revision, 'sources', sources, 'isDisabled', disabled_at IS NOT NULL, 'isAdministrator', administrator_at IS NOT NULL,
      'isCodeRequired', code_required_at IS NOT NULL, 'tokensSince', tokens_since, 'createdAt', created_at, 'policyMetAt', policy_met_at,
      'graceUntil', grace_until, 'reportedVersion', reported_version, 'exemptSince', exempt_since, 'exemptUntil', exempt_until,
      'exemptReason', exempt_reason, 'exemptBy', exempt_by))
    INTO v_ids, v_users FROM users WHERE tenant = p_tenant AND namespace = p_namespace AND subject = ANY (p_names);
  END IF;
  IF v_users IS NULL THEN RETURN NULL; END IF;
  SELECT json_agg(json_build_object('userId', user_id, 'id', id, 'kind', kind, 'label', label, 'sealed', encode(sealed, 'hex'),
    'keyId', key_id, 'algorithm', algorithm, 'digits', digits, 'period', period, 'counter', counter, 'createdAt', created_at,
    'confirmedAt', confirmed_at, 'lastUsedAt', last_used_at, 'afterRecoveryAt', after_recovery_at,
    'credential', CASE WHEN credential_id IS NOT NULL THEN json_build_object('id', encode(credential_id, 'hex'), 'rpId', rp_id,
      'isEligible', backup_eligible, 'aaguid', aaguid, 'transports', transports) END) ORDER BY confirmed_at, id)
  INTO v_factors FROM factors WHERE tenant = p_tenant AND user_id = ANY (v_ids);
  SELECT json_agg(json_build_object('userId', user_id, 'kind', kind, 'failures', failures, 'waitUntil', wait_until, 'lockedAt', locked_at))
  INTO v_throttles FROM throttles WHERE tenant = p_tenant AND user_id = ANY (v_ids);
  SELECT enforcement, CASE WHEN cardinality(groups) > 0 THEN groups END AS groups, grace_period_days AS "gracePeriodDays",
    enforce_from AS "enforceFrom", sso_rule AS "ssoRule", phishing_resistant AS "phishingResistant",
    phishing_resistant_from AS "phishingResistantFrom",
    trusted_device_days AS "trustedDeviceDays", version, updated_at AS "updatedAt", updated_by AS "updatedBy"
  INTO v_row FROM policies WHERE tenant = p_tenant;
  IF FOUND THEN v_policy := to_json(v_row); END IF;
  IF cardinality(p_sessions) > 0 THEN
    SELECT json_agg(json_build_object('userId', user_id, 'issuer', issuer, 'session', session, 'generation', generation,
      'acr', CASE WHEN ends_at > v_now THEN acr END, 'methods', methods, 'factorId', factor_id, 'epoch', epoch, 'mac', encode(mac, 'hex'),
      'authTime', floor(extract(epoch FROM auth_time)), 'endsAt', floor(extract(epoch FROM ends_at))))
    INTO v_sessions FROM mfa_sessions WHERE tenant = p_tenant AND user_id = ANY (v_ids) AND session = ANY (p_sessions);
  END IF;
  IF p_is_whole THEN
    SELECT json_agg(json_build_object('userId', user_id, 'factorId', factor_id, 'kind', kind, 'label', label, 'session', session,
      'sealed', encode(sealed, 'hex'), 'keyId', key_id, 'algorithm', algorithm, 'digits', digits, 'period', period,
      'createdAt', created_at) ORDER BY created_at, factor_id)
    INTO v_pending FROM enrollments WHERE tenant = p_tenant AND user_id = ANY (v_ids) AND expires_at > v_now;
    SELECT json_agg(json_build_object('userId', user_id, 'id', id, 'generatedAt', generated_at, 'acknowledgedAt', acknowledged_at))
    INTO v_sets FROM recovery_sets WHERE tenant = p_tenant AND user_id = ANY (v_ids);
    SELECT json_agg(json_build_object('userId', user_id, 'isUsed', used_at IS NOT NULL))
    INTO v_codes FROM recovery_codes WHERE tenant = p_tenant AND user_id = ANY (v_ids);
    SELECT json_agg(json_build_object('userId', user_id, 'id', id, 'mac', encode(mac, 'hex'), 'name', name, 'factorId', factor_id,
      'earnedAt', floor(extract(epoch FROM earned_at)), 'epoch', epoch, 'createdAt', created_at, 'lastUsedAt', last_used_at)
      ORDER BY created_at DESC)
    INTO v_devices FROM devices WHERE tenant = p_tenant AND user_id = ANY (v_ids);
  END IF;
  RETURN json_build_object('readAt', v_now, 'users', v_users, 'factors', v_factors, 'throttles', v_throttles, 'policy', v_policy,
    'sessions', v_sessions, 'pending', v_pending, 'sets', v_sets, 'codes', v_codes, 'devices', v_devices);
END $$;

-- Adds some of a tenant's changes to its tallies. Decides: each is added once, however many replicas do this at a time.
CREATE OR REPLACE FUNCTION fold_tallies(p_tenant text, p_limit int) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_folded int;
  v_cohorts uuid[];
BEGIN
  WITH taken AS (
    DELETE FROM user_tally_changes
    WHERE tenant = p_tenant AND id = ANY(ARRAY(SELECT id FROM user_tally_changes WHERE tenant = p_tenant ORDER BY id LIMIT p_limit))
    RETURNING cohort, is_enrolled, accounts, groups, change
  ), added AS (
    INSERT INTO user_tallies AS t (tenant, cohort, is_enrolled, accounts, groups, users)
    SELECT p_tenant, cohort, is_enrolled, accounts, groups, sum(change) FROM taken GROUP BY 1, 2, 3, 4, 5 HAVING sum(change) <> 0
    ORDER BY cohort, is_enrolled
    ON CONFLICT (tenant, cohort, is_enrolled) DO UPDATE SET users = t.users + excluded.users
    RETURNING cohort
  )
  SELECT (SELECT count(*) FROM taken), (SELECT array_agg(cohort) FROM added) INTO v_folded, v_cohorts;
  DELETE FROM user_tallies WHERE tenant = p_tenant AND cohort = ANY(v_cohorts) AND users = 0;
  RETURN jsonb_build_object('outcome', 'folded', 'changes', v_folded);
END $$;

-- Has an administrator set up a factor, so that users can ask them for a code?
CREATE OR REPLACE FUNCTION has_administrator(p_tenant text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN EXISTS (SELECT 1 FROM users WHERE tenant = p_tenant AND administrator_at IS NOT NULL AND enrolled_at IS NOT NULL
    AND disabled_at IS NULL);
END $$;

-- Brings a user's authenticators of a kind from another system: p_factors is [{id, label, sealed, algorithm, digits, period}], sealed for
-- the user p_id (hexadecimal). All of them or none. p_counter is spent, and every one before: what was shown there opens
-- nothing here. They get no recovery codes. A user who was erased is made anew first, as by their own login; if an erasure comes between,
-- the outcome is `moved`.
-- Decides: a user who has an authenticator here keeps their own, whatever else is confirmed beside it (the row of `users` is locked, and
-- its revision moves, so that a confirmation decides anew); each comes once, and one that was removed here never comes back.
CREATE OR REPLACE FUNCTION import_user(
  p_tenant text, p_id uuid, p_kind text, p_namespace text, p_subject text, p_account text, p_key_id text, p_factors jsonb,
  p_counter bigint, p_source text, p_hashes jsonb, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_user users%ROWTYPE;
  v_ids uuid[] := ARRAY(SELECT (f->>'id')::uuid FROM jsonb_array_elements(p_factors) AS f);
  v_created boolean;
  v_has uuid[];
BEGIN
  PERFORM revive_user(p_tenant, p_id, p_namespace, p_subject, p_account, p_hashes);
  INSERT INTO users (tenant, id, namespace, subject, account) VALUES (p_tenant, p_id, p_namespace, p_subject, p_account)
  ON CONFLICT (tenant, namespace, subject) DO NOTHING;
  v_created := FOUND;
  SELECT * INTO v_user FROM users WHERE tenant = p_tenant AND namespace = p_namespace AND subject = p_subject FOR NO KEY UPDATE;
  -- First seen or erased meanwhile: it was sealed for another.
  IF NOT FOUND OR v_user.id <> p_id THEN RETURN jsonb_build_object('outcome', 'moved'); END IF;
  IF v_created THEN PERFORM tally_user(p_tenant, p_id, NULL); END IF;
  IF v_user.disabled_at IS NOT NULL THEN RETURN jsonb_build_object('outcome', 'disabled'); END IF;
  v_has := ARRAY(SELECT id FROM factors WHERE tenant = p_tenant AND user_id = p_id);
  IF cardinality(v_has) > 0 THEN
    RETURN jsonb_build_object('outcome', CASE WHEN v_ids <@ v_has THEN 'already' ELSE 'enrolled' END);
  ELSIF EXISTS (SELECT 1 FROM audit_events WHERE tenant = p_tenant AND subject = p_id::text AND action = 'factor.confirmed'
      AND (details->>'factorId')::uuid = ANY(v_ids)) THEN
    RETURN jsonb_build_object('outcome', 'removed');
  END IF;
  INSERT INTO factors (tenant, id, user_id, kind, label, sealed, key_id, algorithm, digits, period, counter, created_at, confirmed_at,
    after_recovery_at)
  SELECT p_tenant, (f->>'id')::uuid, p_id, p_kind, f->>'label', decode(f->>'sealed', 'hex'), p_key_id, f->>'algorithm',
    (f->>'digits')::int, (f->>'period')::int, p_counter, clock_timestamp(), clock_timestamp(), v_user.recovered_at
  FROM jsonb_array_elements(p_factors) AS f;
  UPDATE users SET revision = revision + 1 WHERE tenant = p_tenant AND id = p_id;
  PERFORM update_enrolled_at(p_tenant, p_id);
  PERFORM audit(p_tenant, p_id::text, 'factor.confirmed', 'success', p_kind, p_by,
    jsonb_build_object('factorId', f->>'id', 'label', f->>'label', 'importedFrom', p_source))
  FROM jsonb_array_elements(p_factors) AS f;
  RETURN jsonb_build_object('outcome', 'imported');
END $$;

-- Was the actor signed out, reset, disabled or erased since their token was read? p_by names a user with the epoch that was read with
-- it; a machine and an operator have none. What an administrator does calls it first: the body of a call may come long after its head.
-- Decides: what ends the actor's tokens comes before the change, which then does nothing, or after it, whole. The rows of the actor and
-- of the user they act on, if any, are locked in one order: two users who act on each other do not deadlock.
CREATE OR REPLACE FUNCTION is_actor_gone(p_tenant text, p_user uuid, p_by jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  v_actor uuid;
BEGIN
  IF p_by->>'epoch' IS NULL THEN RETURN false; END IF;
  v_actor := (p_by->>'actor')::uuid;
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id IN (v_actor, p_user) ORDER BY id FOR NO KEY UPDATE;
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id = v_actor AND epoch = (p_by->>'epoch')::int AND disabled_at IS NULL;
  RETURN NOT FOUND;
END $$;

-- Locks a user for an administrator: null, or the outcome that forbids it. `gone` if there is no such user; `forbidden` where support would
-- touch a user who was ever seen with an `mfa:` role; `actor_gone` where the administrator is one no more.
-- Whatever an administrator does to one user calls it first, and is audited with the reason. Throttles are locked after it, in the order of
-- their kinds.
CREATE OR REPLACE FUNCTION lock_user(p_tenant text, p_user uuid, p_is_support boolean, p_by jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_is_administrator boolean;
BEGIN
  IF is_actor_gone(p_tenant, p_user, p_by) THEN RETURN jsonb_build_object('outcome', 'actor_gone'); END IF;
  SELECT administrator_at IS NOT NULL INTO v_is_administrator FROM users WHERE tenant = p_tenant AND id = p_user FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'gone'); END IF;
  IF p_is_support AND v_is_administrator THEN RETURN jsonb_build_object('outcome', 'forbidden'); END IF;
  RETURN NULL;
END $$;

-- Records what an issuer claims about a user, who is made if they are new, and counts them. `p_claims` is {local, sso, groups?}; where the
-- token has no accounts (`p_has_accounts` false) its login type is added to what the issuer had claimed before. A token without a display
-- name (`p_account` null) leaves the one that is known.
-- What is set on Citus must be the same on every node: it is computed before.
CREATE OR REPLACE FUNCTION record_claims(
  p_tenant text, p_id uuid, p_namespace text, p_subject text, p_account text, p_issuer text, p_has_accounts boolean, p_claims jsonb
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_before users%ROWTYPE;
  v_id uuid;
  v_account text := coalesce(p_account, p_subject);
  v_known jsonb;
  v_sources jsonb := jsonb_build_object(p_issuer, p_claims);
BEGIN
  INSERT INTO users (tenant, id, namespace, subject, account, sources)
  VALUES (p_tenant, p_id, p_namespace, p_subject, v_account, v_sources)
  ON CONFLICT (tenant, namespace, subject) DO NOTHING
  RETURNING id INTO v_id;
  IF v_id IS NULL THEN
    SELECT * INTO v_before FROM users WHERE tenant = p_tenant AND namespace = p_namespace AND subject = p_subject FOR NO KEY UPDATE;
    -- Erased between the two: the caller finds no user, and asks again.
    IF NOT FOUND THEN RETURN; END IF;
    v_id := v_before.id;
    v_account := coalesce(p_account, v_before.account);
    v_known := coalesce(v_before.sources->p_issuer, '{}');
    v_sources := v_before.sources || jsonb_build_object(p_issuer,
      v_known || p_claims || CASE WHEN p_has_accounts THEN '{}'::jsonb ELSE jsonb_build_object(
      'local', (p_claims->>'local')::boolean OR coalesce((v_known->>'local')::boolean, false),
      'sso', (p_claims->>'sso')::boolean OR coalesce((v_known->>'sso')::boolean, false)) END);
    UPDATE users SET account = v_account, sources = v_sources WHERE tenant = p_tenant AND id = v_id;
  END IF;
  PERFORM tally_user(p_tenant, v_id, v_before);
END $$;

-- Counts a tenant's users anew and records what the tallies are wrong by; answers how many users that concerns. Both are read in one
-- statement, and so are of one moment: it may run beside whatever else counts.
-- `enrolled_at` is mended one user after the other: on Citus, a statement that runs where the rows are may not call what asks for rows.
CREATE OR REPLACE FUNCTION recount_users(p_tenant text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_mended int;
  v_user uuid;
BEGIN
  FOR v_user IN SELECT u.id FROM users u
    WHERE u.tenant = p_tenant AND (u.enrolled_at IS NULL) = EXISTS (SELECT 1 FROM factors f WHERE f.tenant = p_tenant AND f.user_id = u.id)
  LOOP
    PERFORM update_enrolled_at(p_tenant, v_user);
  END LOOP;
  INSERT INTO user_tally_changes (tenant, cohort, is_enrolled, accounts, groups, change)
  SELECT p_tenant, cohort, is_enrolled, accounts, groups, sum(users) FROM (
    SELECT cohort, enrolled_at IS NOT NULL AS is_enrolled, accounts, groups, count(*) AS users FROM users
    WHERE tenant = p_tenant AND disabled_at IS NULL GROUP BY 1, 2, 3, 4
    UNION ALL SELECT cohort, is_enrolled, accounts, groups, -users FROM current_tallies WHERE tenant = p_tenant) AS c
  GROUP BY cohort, is_enrolled, accounts, groups HAVING sum(users) <> 0;
  GET DIAGNOSTICS v_mended = ROW_COUNT;
  RETURN jsonb_build_object('outcome', 'counted', 'mended', v_mended);
END $$;

-- Takes all factors and codes from a user and ends their MFA tokens. With a bypass code they set up a factor anew only with that code, or
-- with a later one. Decides: of parallel resets one; a confirmation, new codes or a code that come later find another epoch. The audit
-- keeps what there was. A grace that was given once is not given again.
CREATE OR REPLACE FUNCTION reset_user(p_tenant text, p_user uuid, p_reason text, p_bypass jsonb, p_is_support boolean, p_by jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_refused jsonb := lock_user(p_tenant, p_user, p_is_support, p_by);
  v_cleared jsonb;
  v_factors jsonb;
  v_until timestamptz;
  v_epoch int;
  v_now timestamptz;
BEGIN
  IF v_refused IS NOT NULL THEN RETURN v_refused; END IF;
  IF NOT EXISTS (SELECT 1 FROM factors WHERE tenant = p_tenant AND user_id = p_user)
    AND NOT EXISTS (SELECT 1 FROM enrollments WHERE tenant = p_tenant AND user_id = p_user AND expires_at > clock_timestamp()) THEN
    RETURN jsonb_build_object('outcome', 'nothing');
  END IF;
  v_cleared := clear_throttles(p_tenant, p_user);
  SELECT coalesce(jsonb_agg(jsonb_build_object('factorId', id, 'kind', kind, 'label', label, 'confirmedAt', confirmed_at,
    'lastUsedAt', last_used_at) ORDER BY confirmed_at, id), '[]') INTO v_factors FROM factors WHERE tenant = p_tenant AND user_id = p_user;
  DELETE FROM enrollments WHERE tenant = p_tenant AND user_id = p_user;
  DELETE FROM factors WHERE tenant = p_tenant AND user_id = p_user;
  DELETE FROM recovery_sets WHERE tenant = p_tenant AND user_id = p_user;
  PERFORM update_enrolled_at(p_tenant, p_user);
  DELETE FROM bypasses WHERE tenant = p_tenant AND user_id = p_user;
  DELETE FROM mfa_sessions WHERE tenant = p_tenant AND user_id = p_user;
  v_now := clock_timestamp();
  UPDATE users SET revision = revision + 1, code_required_at = CASE WHEN p_bypass IS NOT NULL THEN v_now END
  WHERE tenant = p_tenant AND id = p_user;
  v_epoch := bump_epoch(p_tenant, p_user);
  PERFORM audit(p_tenant, p_user::text, 'user.reset', 'success', NULL, p_by, jsonb_build_object(
    'reason', p_reason, 'requireCode', p_bypass IS NOT NULL, 'factors', v_factors, 'cleared', v_cleared));
  IF p_bypass IS NOT NULL THEN
    v_until := store_bypass(p_tenant, p_user, p_bypass);
    PERFORM audit(p_tenant, p_user::text, 'bypass.issued', 'success', NULL, p_by,
      jsonb_build_object('reason', p_reason, 'expiresAt', v_until));
  END IF;
  RETURN jsonb_build_object('outcome', 'reset', 'factors', jsonb_array_length(v_factors), 'expiresAt', v_until);
END $$;

-- Makes a user anew who was erased, if they were and are not there again: with an epoch that no token of theirs has, and disabled if they
-- were. p_hashes are what their tombstone would be under each pepper.
-- The INSERT that returns something has VALUES and no SELECT: Citus takes no other.
CREATE OR REPLACE FUNCTION revive_user(
  p_tenant text, p_id uuid, p_namespace text, p_subject text, p_account text, p_hashes jsonb
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_tombstone tombstones%ROWTYPE;
  v_id uuid;
BEGIN
  SELECT * INTO v_tombstone FROM tombstones WHERE tenant = p_tenant AND hash IN (SELECT jsonb_array_elements_text(p_hashes)) LIMIT 1;
  IF NOT FOUND THEN RETURN; END IF;
  INSERT INTO users (tenant, id, namespace, subject, account, epoch, tokens_since, disabled_at)
  VALUES (p_tenant, p_id, p_namespace, p_subject, coalesce(p_account, p_subject),
    v_tombstone.epoch + 1, v_tombstone.erased_at, v_tombstone.disabled_at)
  ON CONFLICT (tenant, namespace, subject) DO NOTHING
  RETURNING id INTO v_id;
  IF v_id IS NOT NULL THEN PERFORM tally_user(p_tenant, p_id, NULL); END IF;
END $$;

-- Records what an application says of its users, all of them or none. p_users is [{id, namespace, subject, account?, accounts?, groups?,
-- disabled?, hashes}], each user once; `id` is for a user who is new, and what is absent stays. Decides: of two that name the same users,
-- and of one beside a first sight or a login, each changes the row as the other left it. Rows are made and locked in one order, so that no
-- two deadlock; users that do not change are neither locked nor written.
-- A user who was erased is made anew, as by their own login: with an epoch that no token of theirs has, and disabled if they were, unless
-- the sync says otherwise. `hashes` is what their tombstone would be under each pepper.
-- The users who were made are counted by their rows: how many rows an INSERT says that it made, where some were there, is not the same on
-- Citus.
CREATE OR REPLACE FUNCTION sync_users(p_tenant text, p_users jsonb, p_by jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_before users[];
  v_created int;
  v_known int;
  v_counts jsonb;
  v_id uuid;
  v_is_disabled boolean;
  v_epoch int;
BEGIN
  -- Without a lock, as the rows of those who are named are locked in another order.
  IF p_by->>'epoch' IS NOT NULL THEN
    PERFORM 1 FROM users WHERE tenant = p_tenant AND id = (p_by->>'actor')::uuid AND epoch = (p_by->>'epoch')::int AND disabled_at IS NULL;
    IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'actor_gone'); END IF;
  END IF;
  INSERT INTO users (tenant, id, namespace, subject, account, sources, disabled_at, epoch, tokens_since)
  SELECT p_tenant, g.id, namespace, subject, coalesce(account, subject), synced_sources('{}', accounts, groups),
    CASE WHEN coalesce(disabled, t.disabled_at IS NOT NULL) THEN coalesce(t.disabled_at, v_now) END, coalesce(t.epoch, 0) + 1, t.erased_at
  FROM jsonb_to_recordset(p_users) AS g (id uuid, namespace text, subject text, account text, accounts jsonb, groups jsonb,
    disabled boolean, hashes jsonb)
  LEFT JOIN LATERAL (SELECT o.* FROM jsonb_array_elements_text(g.hashes) AS h
    JOIN tombstones o ON o.tenant = p_tenant AND o.hash = h LIMIT 1) AS t ON true
  ORDER BY namespace, subject
  ON CONFLICT (tenant, namespace, subject) DO NOTHING;
  SELECT count(*) INTO v_created FROM jsonb_to_recordset(p_users) AS g (id uuid) JOIN users u ON u.tenant = p_tenant AND u.id = g.id;

  -- Who was there before and is told of otherwise, as they were.
  SELECT coalesce(array_agg(b), '{}') INTO v_before FROM (
    SELECT u.* FROM jsonb_to_recordset(p_users) AS g (id uuid, namespace text, subject text, account text, accounts jsonb, groups jsonb,
      disabled boolean)
    JOIN users u ON u.tenant = p_tenant AND u.namespace = g.namespace AND u.subject = g.subject AND u.id <> g.id
    WHERE u.account <> coalesce(g.account, u.account) OR u.sources <> synced_sources(u.sources, g.accounts, g.groups)
      OR (u.disabled_at IS NOT NULL) <> coalesce(g.disabled, u.disabled_at IS NOT NULL)
    ORDER BY u.namespace, u.subject FOR NO KEY UPDATE OF u) AS b;
  SELECT count(*) INTO v_known FROM jsonb_to_recordset(p_users) AS g (namespace text, subject text)
  JOIN users u ON u.tenant = p_tenant AND u.namespace = g.namespace AND u.subject = g.subject;
  IF v_known <> jsonb_array_length(p_users) THEN
    RAISE EXCEPTION 'a user was erased meanwhile';
  END IF;
  UPDATE users u SET account = n.account, sources = n.sources, disabled_at = n.disabled_at
  FROM (
    SELECT b.id, coalesce(g.account, b.account) AS account, synced_sources(b.sources, g.accounts, g.groups) AS sources,
      CASE WHEN coalesce(g.disabled, b.disabled_at IS NOT NULL) THEN coalesce(b.disabled_at, v_now) END AS disabled_at
    FROM jsonb_to_recordset(p_users) AS g (namespace text, subject text, account text, accounts jsonb, groups jsonb, disabled boolean)
    JOIN unnest(v_before) AS b ON b.namespace = g.namespace AND b.subject = g.subject) AS n
  WHERE u.tenant = p_tenant AND u.id = n.id;

  INSERT INTO user_tally_changes (tenant, cohort, is_enrolled, accounts, groups, change)
  SELECT p_tenant, cohort, is_enrolled, accounts, groups, sum(change) FROM (
    SELECT cohort, enrolled_at IS NOT NULL AS is_enrolled, accounts, groups, -1 AS change FROM unnest(v_before) WHERE disabled_at IS NULL
    UNION ALL
    SELECT u.cohort, u.enrolled_at IS NOT NULL, u.accounts, u.groups, 1
    FROM jsonb_to_recordset(p_users) AS g (id uuid, namespace text, subject text)
    JOIN users u ON u.tenant = p_tenant AND u.namespace = g.namespace AND u.subject = g.subject
    LEFT JOIN unnest(v_before) AS b ON b.id = u.id WHERE u.disabled_at IS NULL AND (u.id = g.id OR b.id IS NOT NULL)) AS c
  GROUP BY cohort, is_enrolled, accounts, groups HAVING sum(change) <> 0;

  FOR v_id, v_is_disabled IN
    SELECT u.id, u.disabled_at IS NOT NULL FROM jsonb_to_recordset(p_users) AS g (id uuid, namespace text, subject text)
    JOIN users u ON u.tenant = p_tenant AND u.namespace = g.namespace AND u.subject = g.subject
    LEFT JOIN unnest(v_before) AS b ON b.id = u.id
    WHERE (u.id = g.id OR b.id IS NOT NULL) AND (u.disabled_at IS NULL) <> (b.disabled_at IS NULL) ORDER BY u.namespace, u.subject
  LOOP
    IF v_is_disabled THEN
      v_epoch := bump_epoch(p_tenant, v_id);
      DELETE FROM mfa_sessions WHERE tenant = p_tenant AND user_id = v_id;
    END IF;
    PERFORM audit(p_tenant, v_id::text, CASE WHEN v_is_disabled THEN 'user.disabled' ELSE 'user.enabled' END, 'success', NULL, p_by, '{}');
  END LOOP;
  v_counts := jsonb_build_object('created', v_created, 'updated', cardinality(v_before),
    'unchanged', v_known - v_created - cardinality(v_before));
  PERFORM audit(p_tenant, NULL, 'users.synced', 'success', NULL, p_by, v_counts);
  RETURN v_counts || jsonb_build_object('outcome', 'synced');
END $$;

-- The sources after a sync by an application, which is one source more, under a name that no issuer has: the empty one. Its accounts or
-- groups (null: it claims none) replace all that was claimed before, so nothing that another source claims beyond them stays. What both
-- claim stays as it is, so that the next sync finds nothing to change.
CREATE OR REPLACE FUNCTION synced_sources(p_sources jsonb, p_accounts jsonb, p_groups jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  v_synced jsonb := coalesce(p_sources->'', '{}');
  v_others jsonb := '{}';
  v_issuer text;
  v_claims jsonb;
BEGIN
  IF p_accounts IS NULL AND p_groups IS NULL THEN RETURN p_sources; END IF;
  FOR v_issuer, v_claims IN SELECT key, value FROM jsonb_each(p_sources) WHERE key <> '' LOOP
    IF NOT coalesce(p_accounts, '["local", "sso"]') ? 'local' THEN v_claims := v_claims - 'local'; END IF;
    IF NOT coalesce(p_accounts, '["local", "sso"]') ? 'sso' THEN v_claims := v_claims - 'sso'; END IF;
    IF p_groups IS NOT NULL THEN
      IF v_claims->'groupsUnknown' = 'true' THEN v_claims := v_claims - 'groupsUnknown'; END IF;
      IF v_claims ? 'groups' THEN
        v_claims := v_claims || jsonb_build_object('groups', ARRAY(
          SELECT g FROM jsonb_array_elements_text(v_claims->'groups') WITH ORDINALITY AS e (g, n) WHERE p_groups ? g ORDER BY n));
      END IF;
    END IF;
    v_others := v_others || jsonb_build_object(v_issuer, v_claims);
  END LOOP;
  IF p_accounts IS NOT NULL THEN
    v_synced := v_synced || jsonb_build_object('local', p_accounts ? 'local', 'sso', p_accounts ? 'sso');
  END IF;
  IF p_groups IS NOT NULL THEN
    v_synced := v_synced || jsonb_build_object('groups',
      ARRAY(SELECT DISTINCT g COLLATE "C" FROM jsonb_array_elements_text(p_groups) AS g ORDER BY 1));
  END IF;
  RETURN v_others || jsonb_build_object('', v_synced);
END $$;

-- Records how a user is counted now who was counted as `p_before` says: their row as it was, or null where they are new. For whatever makes
-- or erases a user, disables or enables them, changes what is claimed of them, or gives or takes their first factor; it has locked the row
-- before, so that no two count the same change. Changes are added up later, so none waits for another.
CREATE OR REPLACE FUNCTION tally_user(p_tenant text, p_user uuid, p_before users) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_after users%ROWTYPE;
BEGIN
  SELECT * INTO v_after FROM users WHERE tenant = p_tenant AND id = p_user;
  INSERT INTO user_tally_changes (tenant, cohort, is_enrolled, accounts, groups, change)
  SELECT p_tenant, cohort, is_enrolled, accounts, groups, sum(change) FROM (
    SELECT p_before.cohort, p_before.enrolled_at IS NOT NULL AS is_enrolled, p_before.accounts, p_before.groups, -1 AS change
    WHERE p_before.id IS NOT NULL AND p_before.disabled_at IS NULL
    UNION ALL SELECT v_after.cohort, v_after.enrolled_at IS NOT NULL, v_after.accounts, v_after.groups, 1
    WHERE v_after.id IS NOT NULL AND v_after.disabled_at IS NULL) AS c
  GROUP BY cohort, is_enrolled, accounts, groups HAVING sum(change) <> 0;
END $$;

-- Records the first sight of a user, or what an issuer newly claims about them, but not of a user who was erased since the token was
-- issued: `erased`. A user who comes back later is made anew. Decides: of a first sight and an erasure at once, the erasure stands.
CREATE OR REPLACE FUNCTION upsert_user(
  p_tenant text, p_id uuid, p_namespace text, p_subject text, p_account text, p_issuer text, p_has_accounts boolean, p_claims jsonb,
  p_issued_at timestamptz, p_hashes jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_tombstone tombstones%ROWTYPE;
  v_after tombstones%ROWTYPE;
BEGIN
  SELECT * INTO v_tombstone FROM tombstones WHERE tenant = p_tenant AND hash IN (SELECT jsonb_array_elements_text(p_hashes));
  IF p_issued_at <= v_tombstone.erased_at THEN RETURN jsonb_build_object('outcome', 'erased'); END IF;
  IF FOUND THEN PERFORM revive_user(p_tenant, p_id, p_namespace, p_subject, p_account, p_hashes); END IF;
  PERFORM record_claims(p_tenant, p_id, p_namespace, p_subject, p_account, p_issuer, p_has_accounts, p_claims);
  -- An erasure that was waited for is seen by now.
  SELECT * INTO v_after FROM tombstones WHERE tenant = p_tenant AND hash IN (SELECT jsonb_array_elements_text(p_hashes));
  IF v_after IS DISTINCT FROM v_tombstone
    OR NOT EXISTS (SELECT 1 FROM users WHERE tenant = p_tenant AND namespace = p_namespace AND subject = p_subject) THEN
    RAISE EXCEPTION USING ERRCODE = 'ERASE';
  END IF;
  RETURN jsonb_build_object('outcome', 'seen');
EXCEPTION WHEN SQLSTATE 'ERASE' THEN
  RETURN jsonb_build_object('outcome', 'erased');
END $$;

-- Takes an event, for `p_seconds`, to deliver it. Decides: of any number of workers one has it at a time, without waiting for each other;
-- and no event is delivered while an older one of the same user waits: it is due again when that one is.
CREATE OR REPLACE FUNCTION claim_webhook_event(p_tenant text, p_id uuid, p_seconds int) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_row webhook_events%ROWTYPE;
  v_older webhook_events%ROWTYPE;
  v_event audit_events%ROWTYPE;
  v_user users%ROWTYPE;
BEGIN
  SELECT * INTO v_row FROM webhook_events
  WHERE tenant = p_tenant AND id = p_id AND parked_at IS NULL AND due_at <= v_now AND (leased_until IS NULL OR leased_until <= v_now)
  FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'taken'); END IF;
  SELECT * INTO v_older FROM webhook_events
  WHERE tenant = p_tenant AND subject = v_row.subject AND parked_at IS NULL AND (at, id) < (v_row.at, v_row.id)
  ORDER BY at, id LIMIT 1;
  IF FOUND THEN
    UPDATE webhook_events SET due_at = greatest(v_older.due_at, v_older.leased_until, v_now + interval '1 second')
    WHERE tenant = p_tenant AND id = p_id;
    RETURN jsonb_build_object('outcome', 'behind');
  END IF;
  SELECT * INTO v_event FROM audit_events WHERE tenant = p_tenant AND at = v_row.at AND id = p_id;
  IF NOT FOUND THEN
    DELETE FROM webhook_events WHERE tenant = p_tenant AND id = p_id;
    RETURN jsonb_build_object('outcome', 'gone');
  END IF;
  UPDATE webhook_events SET leased_until = v_now + make_interval(secs => p_seconds), attempts = attempts + 1,
    tried_since = coalesce(tried_since, v_now), tried_at = v_now
  WHERE tenant = p_tenant AND id = p_id;
  -- The user's present name. Of an erased user nothing is left to send.
  IF v_row.subject ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
    SELECT * INTO v_user FROM users WHERE tenant = p_tenant AND id = v_row.subject::uuid;
  END IF;
  RETURN jsonb_build_object('outcome', 'claimed', 'attempt', v_row.attempts + 1, 'event', jsonb_build_object(
    'type', v_event.action, 'timestamp', to_char(v_event.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'tenant', p_tenant,
    'userId', v_event.subject, 'namespace', v_user.namespace, 'subject', v_user.subject, 'account', v_user.account,
    'outcome', v_event.outcome, 'actorId', v_event.actor, 'factorKind', v_event.factor_kind, 'address', v_event.address,
    'requestId', v_event.request_id, 'details', v_event.details));
END $$;

-- An event was delivered, by the attempt of this number: it is gone. Decides: an attempt that took longer than its lease leaves the event
-- to the one that has it now.
CREATE OR REPLACE FUNCTION deliver_webhook_event(p_tenant text, p_id uuid, p_attempt int) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_subject text;
BEGIN
  DELETE FROM webhook_events WHERE tenant = p_tenant AND id = p_id AND attempts = p_attempt RETURNING subject INTO v_subject;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'stale'); END IF;
  RETURN jsonb_build_object('outcome', 'delivered', 'next', wake_webhook_event(p_tenant, v_subject));
END $$;

-- An event was not delivered: it is tried again after as much time as has passed since the first try, which doubles it, from five seconds
-- to an hour. A day after the first try, or where that is of no use (p_is_final), it is parked. One that was only interrupted is due at
-- once.
CREATE OR REPLACE FUNCTION fail_webhook_event(
  p_tenant text, p_id uuid, p_attempt int, p_failure text, p_is_final boolean, p_is_interrupted boolean
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_row webhook_events%ROWTYPE;
  v_passed interval;
BEGIN
  SELECT * INTO v_row FROM webhook_events WHERE tenant = p_tenant AND id = p_id AND attempts = p_attempt FOR UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'stale'); END IF;
  v_passed := v_now - coalesce(v_row.tried_since, v_now);
  IF p_is_interrupted THEN
    v_row.due_at := v_now;
  ELSIF p_is_final OR v_passed >= interval '24 hours' THEN
    v_row.parked_at := v_now;
  ELSE
    -- Not all at one moment, where many have failed at one.
    v_row.due_at := v_now + least(greatest(v_passed, interval '5 seconds'), interval '1 hour') * (0.9 + 0.2 * random());
  END IF;
  UPDATE webhook_events SET leased_until = NULL, due_at = v_row.due_at, parked_at = v_row.parked_at, failure = p_failure
  WHERE tenant = p_tenant AND id = p_id;
  IF v_row.parked_at IS NULL THEN RETURN jsonb_build_object('outcome', 'waiting'); END IF;
  RETURN jsonb_build_object('outcome', 'parked', 'next', wake_webhook_event(p_tenant, v_row.subject));
END $$;

-- The attempt of this number still delivers an event: it is its own for `p_seconds` more. Decides: what another worker has claimed
-- meanwhile stays with that one.
CREATE OR REPLACE FUNCTION renew_webhook_event(p_tenant text, p_id uuid, p_attempt int, p_seconds int) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_until timestamptz := clock_timestamp() + make_interval(secs => p_seconds);
BEGIN
  UPDATE webhook_events SET leased_until = v_until WHERE tenant = p_tenant AND id = p_id AND attempts = p_attempt AND parked_at IS NULL;
  RETURN jsonb_build_object('outcome', CASE WHEN FOUND THEN 'renewed' ELSE 'stale' END);
END $$;

-- An administrator has an event tried again, now and for another day: in its place, which is before whatever came later and still waits.
-- `gone` for one that is not there: delivered, or never there.
CREATE OR REPLACE FUNCTION retry_webhook_event(p_tenant text, p_id uuid, p_by jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_row webhook_events%ROWTYPE;
  v_action text;
BEGIN
  IF is_actor_gone(p_tenant, NULL, p_by) THEN RETURN jsonb_build_object('outcome', 'actor_gone'); END IF;
  UPDATE webhook_events SET due_at = v_now, tried_since = NULL, parked_at = NULL WHERE tenant = p_tenant AND id = p_id
  RETURNING * INTO v_row;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'gone'); END IF;
  SELECT action INTO v_action FROM audit_events WHERE tenant = p_tenant AND at = v_row.at AND id = p_id;
  PERFORM audit(p_tenant, nullif(v_row.subject, ''), 'notice.retried', 'success', NULL, p_by,
    jsonb_build_object('noticeId', p_id, 'type', v_action, 'attempts', v_row.attempts, 'failure', v_row.failure));
  RETURN jsonb_build_object('outcome', 'retried');
END $$;

-- The next event of the same user is due at once. Answers its id, or null.
CREATE OR REPLACE FUNCTION wake_webhook_event(p_tenant text, p_subject text) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_id uuid;
BEGIN
  SELECT id INTO v_id FROM webhook_events WHERE tenant = p_tenant AND subject = p_subject AND parked_at IS NULL ORDER BY at, id LIMIT 1;
  UPDATE webhook_events SET due_at = least(due_at, v_now) WHERE tenant = p_tenant AND id = v_id;
  RETURN v_id;
END $$;

-- There is an endpoint: changes leave webhook events for a day from now. A replica that has one says so every hour.
CREATE OR REPLACE FUNCTION want_webhook_events() RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO webhook_endpoints AS r (name, wanted_until) VALUES ('webhook', clock_timestamp() + interval '24 hours')
  ON CONFLICT (name) DO UPDATE SET wanted_until = excluded.wanted_until;
  RETURN jsonb_build_object('outcome', 'wanted');
END $$;

-- The audit in one partition per month, so that retention drops a table instead of deleting rows. The default one takes what
-- comes while its month is not there yet: no request is refused because a job did not run.
CREATE TABLE "audit_events_default" PARTITION OF "audit_events" DEFAULT;
DO $$ BEGIN
  PERFORM add_audit_partition((date_trunc('month', now() AT TIME ZONE 'UTC') + n * interval '1 month') AT TIME ZONE 'UTC')
  FROM generate_series(0, 3) AS n;
END $$;

-- The role of the service: it reads and writes, changes no table, and cannot rewrite the audit. Give it to the service's
-- login: GRANT headless_mfa TO <login>. A role belongs to the whole server, and another database may have made it;
-- where the owner may not make roles, an administrator does, and runs the block below it.
DO $$ BEGIN
  IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'headless_mfa') THEN
    CREATE ROLE headless_mfa NOLOGIN;
  END IF;
EXCEPTION WHEN duplicate_object OR unique_violation OR insufficient_privilege THEN
  RAISE NOTICE 'the role headless_mfa was not made here';
END $$;
DO $$ BEGIN
  IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'headless_mfa') THEN
    GRANT SELECT, INSERT, UPDATE, DELETE ON users, user_tallies, user_tally_changes, enrollments, factors, recovery_sets, recovery_codes,
      bypasses, throttles, refusals, policies, mfa_sessions, devices, revocations, audit_checkpoints, webhook_events, failures, suspicions
      TO headless_mfa;
    GRANT SELECT, INSERT, UPDATE ON audit_heads, webhook_endpoints, leases, keys TO headless_mfa;
    GRANT SELECT, INSERT, DELETE ON tombstones, audit_pending TO headless_mfa;
    GRANT SELECT, INSERT ON audit_events, audit_chain TO headless_mfa;
    GRANT SELECT ON current_tallies TO headless_mfa;
  END IF;
END $$;
