import { postgresUrl } from './database.ts'
import { ALGORITHMS, ROLES, sessionClaim } from './issuers.ts'
import { parsePeppers, parseSealingKeys } from './keys.ts'
import { passkeyVariables } from './passkeys.ts'
import { parsePolicyFloor } from './policy-floor.ts'
import { parseSigningKeys } from './signing-keys.ts'
import { parseWebhookSecrets, webhookUrl } from './webhook.ts'
import {
  boolean, choice, cidrs, hosts, integer, integers, list, names, origins, page, secret, status, text, totpIssuer, url,
  type Reader
} from './readers.ts'
import { MAX_TOKEN_SECONDS } from '../http/auth/mfa-claims.ts'

/**
 * One variable: how it is read, its default, whether it can come from a `_FILE`, and what it does, for the table in
 * docs/configuration.md.
 */
export interface Variable { read: Reader<unknown>, fallback?: string, isSecret?: true, about: string }

/**
 * Every variable of the service. `.env.example` and docs/configuration.md have the same names; test/config/config.test.ts
 * compares them.
 */
export const variables = {
  HOST: { read: text(255), fallback: '127.0.0.1', about: 'address to listen on. Outside production only a loopback address' },
  PORT: { read: integer(0, 65535), fallback: '3000', about: 'port to listen on' },
  ADMIN_HOST: { read: text(255), fallback: '127.0.0.1', about: 'address of the second listener' },
  ADMIN_PORT: {
    read: integer(0, 65535),
    about: 'port of a second listener. If you set it, `/admin` and `/metrics` answer there and nowhere else'
  },
  PRE_STOP_SECONDS: {
    read: integer(0, 300),
    about: 'at a stop: how long it keeps serving after it says that it is not ready, so that load balancers notice. 0, in production 5'
  },
  DATABASE_URL: {
    read: postgresUrl,
    isSecret: true,
    about: 'PostgreSQL. It can name several hosts. In production it must say `sslmode=verify-full`'
  },
  DATABASE_POOL: { read: integer(1, 200), fallback: '10', about: 'connections of one replica' },
  DATABASE_OWNER_URL: { read: postgresUrl, isSecret: true, about: 'the role that owns the tables. Only `migrate` and `maintain` use it' },
  CITUS: {
    read: choice('auto', 'on', 'off'),
    fallback: 'auto',
    about:
      'whether `migrate` distributes the tables by tenant. `auto`: if the database has Citus; `on`: always; `off`: never. ' +
      'See [Scaling](scaling.md#on-citus)'
  },
  AUDIT_RETENTION_DAYS: { read: integer(30, 36500), fallback: '400', about: 'how long audit events stay' },
  JWT_ISSUER: { read: text(512), about: '`iss` of the first-factor tokens, exact to the last slash' },
  JWT_AUDIENCE: { read: text(512), about: '`aud` of the first-factor tokens' },
  JWT_SECRET: {
    read: secret(32),
    isSecret: true,
    about: 'the HS256 secret of the first-factor tokens, at least 32 bytes. Set exactly one of this and the next two'
  },
  JWT_PUBLIC_KEY_FILE: { read: text(4096), about: 'a PEM file with their public key' },
  JWT_JWKS_URL: {
    read: url(['https:'], { isLoopbackHttpAllowed: true }),
    about: 'the URL of their JWK set. It must be https, unless it is on this machine'
  },
  JWT_ALGORITHMS: {
    read: list(choice(...ALGORITHMS)),
    about:
      'algorithms that the tokens may be signed with. By default the one that fits the key (HS256, RS256, ES256 or EdDSA); with a JWK ' +
      'set RS256 and ES256'
  },
  JWT_LOGIN_TYPE: {
    read: choice('local', 'sso', 'api'),
    fallback: 'local',
    about: 'how users sign in at this issuer: `local` (a password), `sso`, or `api` (personal tokens)'
  },
  JWT_SESSION_CLAIM: {
    read: sessionClaim,
    about: "the claim that identifies the login session, so that one code counts for the whole session. It can't be a time"
  },
  JWT_IAT_IS_LOGIN: {
    read: boolean,
    fallback: 'false',
    about: 'the issuer makes a token only at a login, so `iat` can stand for `auth_time`'
  },
  JWT_GRANTS: {
    read: list(choice(...ROLES)),
    fallback: 'mfa:admin,mfa:support,mfa:auditor,mfa:sync',
    about: "`mfa:` roles that this issuer's tokens may carry. Others are ignored"
  },
  HTTPS_PROXY: { read: url(['http:', 'https:']), about: 'proxy for fetching the keys of issuers. `https_proxy` works too' },
  NO_PROXY: {
    read: text(4096),
    about: 'hosts to reach without that proxy, with their subdomains: `id.internal,.example.com`, or `*` for all. `no_proxy` works too'
  },
  TRUSTED_ISSUERS_FILE: {
    read: text(4096),
    about: 'a JSON file with several issuers. It replaces the `JWT_…` variables. See [Issuers](issuers.md)'
  },
  MFA_ISSUER: { read: text(512), about: '`iss` of the tokens that the service issues' },
  MFA_AUDIENCE: { read: text(512), about: '`aud` of the tokens that the service issues for itself' },
  MFA_APPLICATION_AUDIENCES: {
    read: names,
    fallback: '',
    about: 'applications that can have tokens of their own, by `aud`. See [Back end](back-end.md)'
  },
  MFA_SIGNING_KEYS: {
    read: parseSigningKeys,
    isSecret: true,
    about: 'JWK set with private keys. The first signs MFA tokens; all are published'
  },
  MFA_ENCRYPTION_KEYS: {
    read: parseSealingKeys,
    isSecret: true,
    about: '`id:base64,…`, 32 bytes each. The first seals TOTP secrets; all open them'
  },
  MFA_PEPPERS: {
    read: parsePeppers,
    isSecret: true,
    about: '`id:base64,…`, 32 bytes each. The first hashes new recovery codes; all check them'
  },
  MFA_TOKEN_SECONDS: { read: integer(60, MAX_TOKEN_SECONDS), fallback: '900', about: 'how long an MFA token counts' },
  MFA_SESSION_MAX_AGE_SECONDS: { read: integer(60, 2592000), fallback: '43200', about: 'how long one code counts for its login session' },
  LOGIN_FRESH_SECONDS: { read: integer(60, 3600), fallback: '900', about: 'how old a login may be to start the first enrollment' },
  MFA_FRESH_SECONDS: {
    read: integer(60, 3600),
    fallback: '900',
    about: 'how old a second factor may be to change factors or to administer'
  },
  ADMIN_FACTOR_AGE_SECONDS: {
    read: integer(0, 2592000),
    fallback: '86400',
    about: "how long a factor that was set up after a recovery can't be used to administer"
  },
  ENROLL_REQUIRES_CODE: {
    read: choice('never', 'roles', 'always'),
    fallback: 'roles',
    about:
      'who needs a bypass code for their first enrollment. `never`: no one; `roles`: users with an `mfa:` role, once their tenant has ' +
      'an enrolled administrator; `always`: everyone. See [Help a user](administration.md#add-a-second-administrator)'
  },
  TOTP_ISSUER_NAME: { read: totpIssuer, fallback: 'Headless MFA', about: 'the name that the authenticator app shows' },
  TOTP_WINDOW: {
    read: choice('1', 'past'),
    fallback: '1',
    about: 'which codes are accepted. `1`: the present one, one before and one after; `past`: the present one and one before'
  },
  ...passkeyVariables,
  BCRYPT_COST: { read: integer(4, 12), fallback: '10', about: 'bcrypt cost of recovery codes, from 10 to 12' },
  THROTTLE_WAITS: {
    read: integers(0, 3600),
    fallback: '0,0,0,0,30',
    about: 'seconds to wait after each wrong code in a row. After the last number they double, up to an hour'
  },
  THROTTLE_LOCK: { read: integer(1, 100), fallback: '30', about: 'how many wrong codes in a row lock the authenticators' },
  THROTTLE_DAY: {
    read: integer(1, 100),
    fallback: '20',
    about: 'how many wrong codes a user may have in 24 hours. A right code does not reset this'
  },
  THROTTLE_MONTH: {
    read: integer(1, 300),
    fallback: '30',
    about: 'how many wrong codes a user may have in 30 days. A right code does not reset this'
  },
  POLICY_FLOOR: {
    read: parsePolicyFloor,
    about:
      'JSON: a policy that no tenant can go below, and `maxExemptionDays`. Only the fields that you name bind. ' +
      'See [Policy](policy.md#set-a-floor-for-all-tenants)'
  },
  RATE_LIMIT_PER_MINUTE: {
    read: integer(0, 1000000),
    fallback: '600',
    about:
      'requests per minute from one IP address. More get 429, after half a second. Eight run at a time, a hundred wait, more get 503. ' +
      "0 turns all of this off, for a load balancer that hides the client's address"
  },
  TRUSTED_PROXIES: { read: cidrs, fallback: '', about: 'CIDRs of proxies. The service believes their `X-Forwarded-*`' },
  ENROLL_PAGE_URL: { read: page, about: 'your page that sets up a factor, for `X-MFA-Location`' },
  VERIFY_PAGE_URL: { read: page, about: 'your page that asks for a code, for `X-MFA-Location`' },
  LOGIN_PAGE_URL: { read: page, about: 'your log-in page, for tokens whose issuer has no `loginUrl`' },
  RETURN_HOSTS: { read: hosts, fallback: '', about: 'hosts that `return_to` may lead to, as `host` or `host:port`' },
  GATEWAY_ENROLL_STATUS: {
    read: status(401, 403),
    fallback: '403',
    about: 'what a gateway gets for a user who must enroll: `403` or `401`'
  },
  AUTHORIZE_STALE_SECONDS: {
    read: integer(1, 60),
    fallback: '2',
    about: "how old a replica's list of revoked tokens may be. If it is older, gateways get 503"
  },
  WEBHOOK_URL: { read: webhookUrl, about: 'the endpoint that webhook events are sent to, https. See [Webhooks](webhooks.md)' },
  WEBHOOK_SECRET: {
    read: parseWebhookSecrets,
    isSecret: true,
    about: '`whsec_…`, 24 to 64 bytes: signs the webhook events. To change it, set the new and the old one with a comma between'
  },
  WEBHOOK_ALLOW_PRIVATE: { read: boolean, fallback: 'false', about: 'allows a webhook endpoint with a private address, and http' },
  CORS_ORIGINS: { read: origins, fallback: '', about: 'origins whose pages may call the API, as `https://app.example.com`' },
  DOCS: { read: boolean, about: 'the API console at /docs' },
  OTEL_EXPORTER_OTLP_ENDPOINT: { read: url(['http:', 'https:']), about: 'collector for traces, by OTLP over HTTP' },
  LOG_LEVEL: {
    read: choice('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'),
    fallback: 'info',
    about: '`trace`, `debug`, `info`, `warn`, `error`, `fatal` or `silent`'
  },
  NODE_ENV: {
    read: choice('production', 'development', 'test'),
    fallback: 'development',
    about: '`development` and `test` are for this machine only. `production` refuses what is only safe there'
  }
} as const satisfies Record<string, Variable>
