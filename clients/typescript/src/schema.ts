// Written by `npm run client` from openapi.yaml: not to be edited.
/* eslint-disable */
export interface components {
    schemas: {
        /** @description An error (RFC 9457). */
        Problem: {
            /**
             * Format: uri
             * @example urn:headless-mfa:problem:code_refused
             */
            type: string;
            title: string;
            status: number;
            /** @description What to do next. */
            detail: string;
            /** @description Carries the request id. */
            instance: string;
            /** @enum {unknown} */
            code: "invalid_request" | "invalid_token" | "step_up_required" | "forbidden" | "enrollment_required" | "login_time_unknown" | "factor_locked" | "not_found" | "method_not_allowed" | "required_by_policy" | "too_many_factors" | "not_enrolled" | "label_taken" | "precondition_failed" | "payload_too_large" | "token_too_large" | "unsupported_media_type" | "code_refused" | "too_many_attempts" | "internal" | "unavailable" | "outcome_unknown";
            /** @description With `invalid_request`, and with `required_by_policy` of a policy: the fields, never what they held. */
            errors?: {
                field: string;
                message: string;
            }[];
            /**
             * @description With `step_up_required`: what helps.
             * @enum {unknown}
             */
            action?: "verify" | "login" | "recovery";
            /**
             * @description With `invalid_token`, outside production alone: what of the token did not fit, and what was expected.
             * @example aud is "account", expected "headless-mfa" (JWT_AUDIENCE)
             */
            cause?: string;
        };
        /**
         * @example {
         *       "id": "5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11",
         *       "kind": "totp",
         *       "label": "My phone",
         *       "status": "active",
         *       "createdAt": "2026-11-24T12:00:00.000Z",
         *       "confirmedAt": "2026-11-24T12:00:31.000Z",
         *       "lastUsedAt": null,
         *       "nextCodeAt": null
         *     }
         */
        Factor: {
            /**
             * Format: uuid
             * @example 5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11
             */
            id: string;
            /** @enum {string} */
            kind: "totp";
            label: string;
            /** @enum {unknown} */
            status: "pending" | "active" | "locked";
            /**
             * Format: date-time
             * @description RFC 3339, UTC
             * @example 2026-11-24T12:00:00.000Z
             */
            createdAt: string;
            confirmedAt: string | null;
            lastUsedAt: string | null;
            /** @description When its next code is taken, where this step's is spent */
            nextCodeAt: string | null;
        };
        /** @description What must happen before this session may pass */
        Decision: {
            /** @enum {string} */
            action: "allow";
            /** @enum {string} */
            reason: "mfa_verified" | "idp_mfa" | "not_required" | "exempt_sso" | "exempt_user" | "grace" | "report_only";
            /**
             * Format: date-time
             * @description With `grace`: until when it is allowed without a factor
             */
            deadline?: string;
            /** @description With `report_only`: what would be decided if MFA were required */
            wouldBe?: components["schemas"]["Decision"];
        } | {
            /** @enum {string} */
            action: "verify";
            /** @enum {string} */
            reason: "factor_enrolled";
        } | {
            /** @enum {string} */
            action: "enroll";
            /** @enum {string} */
            reason: "required_by_policy";
            /**
             * @description With `enroll`: the login is too old to enroll now; sign in again first
             * @enum {boolean}
             */
            loginFirst?: true;
            /**
             * @description With `enroll`: the token does not say when the login was, so nobody can enroll by it, and a new sign-in would not help. Say so and stop: the operator has to change the issuer
             * @enum {boolean}
             */
            loginTimeUnknown?: true;
        } | {
            /** @enum {string} */
            action: "deny";
            /** @enum {string} */
            reason: "user_disabled";
        };
        /**
         * @example {
         *       "userId": "8d0f1a52-94a1-4c4c-b1b5-02f6d8a3d9d3",
         *       "subject": "alice",
         *       "account": "alice@example.com",
         *       "tenant": "acme",
         *       "namespace": "https://id.example.com",
         *       "enrolled": false,
         *       "factors": [],
         *       "recoveryCodes": null,
         *       "decision": {
         *         "action": "enroll",
         *         "reason": "required_by_policy"
         *       }
         *     }
         */
        Status: {
            /**
             * Format: uuid
             * @example 5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11
             */
            userId: string;
            subject: string;
            /** @description Shown to users, never an identity */
            account: string;
            tenant: string;
            namespace: string;
            /** @description Is there an active authenticator? */
            enrolled: boolean;
            factors: components["schemas"]["Factor"][];
            recoveryCodes: {
                total: number;
                remaining: number;
                acknowledgedAt: string | null;
            } | null;
            decision: components["schemas"]["Decision"];
        };
        /**
         * @example {
         *       "label": "My phone"
         *     }
         */
        EnrollRequest: {
            /**
             * @description What the user calls this authenticator
             * @example My phone
             */
            label?: string;
        };
        /**
         * @example {
         *       "factorId": "5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11",
         *       "secret": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
         *       "otpauthUri": "otpauth://totp/Headless%20MFA:alice?issuer=Headless%20MFA&secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&algorithm=SHA1&digits=6&period=30",
         *       "qrCode": "data:image/png;base64,iVBORw0KGgo=",
         *       "expiresAt": "2026-11-24T12:10:00.000Z"
         *     }
         */
        EnrollAnswer: {
            /**
             * Format: uuid
             * @example 5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11
             */
            factorId: string;
            /** @description Base32 without padding, to type in by hand. It is shown now and never again */
            secret: string;
            /** @description The key URI that authenticator apps read */
            otpauthUri: string;
            /** @description The same as a PNG, in a `data:` URL */
            qrCode: string;
            /**
             * Format: date-time
             * @description RFC 3339, UTC
             * @example 2026-11-24T12:00:00.000Z
             */
            expiresAt: string;
        };
        /**
         * @example {
         *       "factorId": "5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11",
         *       "code": "492039"
         *     }
         */
        ConfirmRequest: {
            /**
             * Format: uuid
             * @example 5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11
             */
            factorId: string;
            /**
             * @description Six digits in a string, as the authenticator shows them; spaces, dashes and other scripts' digits are understood
             * @example 492039
             * @example 492 039
             */
            code: string;
            /**
             * @description One of the configured applications: the token is for it, and opens nothing here
             * @example billing
             */
            audience?: string;
        };
        /**
         * @example {
         *       "factorId": "5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11",
         *       "recoveryCodes": [
         *         "0K7M-2Q9R-WX4T-BN3C",
         *         "1D5F-8H2J-6KPV-7A9E"
         *       ],
         *       "token": "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6IjIwMjYtMTEifQ.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl",
         *       "tokenType": "Bearer",
         *       "expiresIn": 900,
         *       "acr": "mfa",
         *       "amr": [
         *         "pwd",
         *         "otp",
         *         "mfa"
         *       ],
         *       "nextCodeAt": "2026-11-24T12:00:30.000Z"
         *     }
         */
        ConfirmAnswer: {
            /**
             * Format: uuid
             * @example 5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11
             */
            factorId: string;
            /** @description Ten with the first authenticator, null with a further one */
            recoveryCodes: string[] | null;
            /** @description The MFA token: send it as the bearer token from now on */
            token: string;
            /** @enum {string} */
            tokenType: "Bearer";
            /** @description Seconds until it ends; never past the end of the token that it was made from */
            expiresIn: number;
            /** @enum {unknown} */
            acr: "mfa" | "mfa-recovery";
            /** @description What was proved (RFC 8176): `otp` by TOTP, `recovery` by a recovery code */
            amr: string[];
            nextCodeAt: string | null;
        };
        /**
         * @example {
         *       "code": "492039"
         *     }
         */
        VerifyRequest: {
            /**
             * @description Six digits in a string, as the authenticator shows them; spaces, dashes and other scripts' digits are understood
             * @example 492039
             * @example 492 039
             */
            code: string;
            /**
             * Format: uuid
             * @example 5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11
             */
            factorId?: string;
            /**
             * @description One of the configured applications: the token is for it, and opens nothing here
             * @example billing
             */
            audience?: string;
        };
        /**
         * @example {
         *       "token": "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6IjIwMjYtMTEifQ.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl",
         *       "tokenType": "Bearer",
         *       "expiresIn": 900,
         *       "acr": "mfa",
         *       "amr": [
         *         "pwd",
         *         "otp",
         *         "mfa"
         *       ],
         *       "factorId": "5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11",
         *       "nextCodeAt": "2026-11-24T12:00:30.000Z"
         *     }
         */
        VerifyAnswer: {
            /** @description The MFA token: send it as the bearer token from now on */
            token: string;
            /** @enum {string} */
            tokenType: "Bearer";
            /** @description Seconds until it ends; never past the end of the token that it was made from */
            expiresIn: number;
            /** @enum {unknown} */
            acr: "mfa" | "mfa-recovery";
            /** @description What was proved (RFC 8176): `otp` by TOTP, `recovery` by a recovery code */
            amr: string[];
            /**
             * Format: uuid
             * @example 5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11
             */
            factorId: string;
            nextCodeAt: string | null;
        };
        /**
         * @example {
         *       "code": "0K7M-2Q9R-WX4T-BN3C"
         *     }
         */
        RecoverRequest: {
            /**
             * @description In any case and width; dashes, spaces and other scripts' digits are understood, `O` as `0`, `I` and `L` as `1`
             * @example 0K7M-2Q9R-WX4T-BN3C
             * @example 0k7m 2q9r wx4t bn3c
             */
            code: string;
            /**
             * @description One of the configured applications: the token is for it, and opens nothing here
             * @example billing
             */
            audience?: string;
        };
        /**
         * @example {
         *       "token": "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6IjIwMjYtMTEifQ.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl",
         *       "tokenType": "Bearer",
         *       "expiresIn": 900,
         *       "acr": "mfa-recovery",
         *       "amr": [
         *         "pwd",
         *         "recovery",
         *         "mfa"
         *       ],
         *       "remaining": 9
         *     }
         */
        RecoverAnswer: {
            /** @description The MFA token: send it as the bearer token from now on */
            token: string;
            /** @enum {string} */
            tokenType: "Bearer";
            /** @description Seconds until it ends; never past the end of the token that it was made from */
            expiresIn: number;
            /** @enum {unknown} */
            acr: "mfa" | "mfa-recovery";
            /** @description What was proved (RFC 8176): `otp` by TOTP, `recovery` by a recovery code */
            amr: string[];
            /** @description Recovery codes that are left; offer new ones at 3 or fewer */
            remaining: number;
        };
        /**
         * @example {
         *       "total": 10,
         *       "remaining": 9,
         *       "generatedAt": "2026-11-24T12:00:31.000Z",
         *       "acknowledgedAt": null
         *     }
         */
        RecoveryStatus: {
            total: number;
            remaining: number;
            /**
             * Format: date-time
             * @description RFC 3339, UTC
             * @example 2026-11-24T12:00:00.000Z
             */
            generatedAt: string;
            /** @description When the user said that they are saved */
            acknowledgedAt: string | null;
        };
        /**
         * @example {
         *       "recoveryCodes": [
         *         "0K7M-2Q9R-WX4T-BN3C",
         *         "1D5F-8H2J-6KPV-7A9E"
         *       ]
         *     }
         */
        NewRecoveryCodes: {
            /** @description Each works once. They are shown now and never again. */
            recoveryCodes: string[];
        };
        /**
         * @example {}
         * @example {
         *       "audience": "billing"
         *     }
         */
        TokenRequest: {
            /**
             * @description One of the configured applications: the token is for it, and opens nothing here
             * @example billing
             */
            audience?: string;
        };
        /**
         * @example {
         *       "token": "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6IjIwMjYtMTEifQ.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl",
         *       "tokenType": "Bearer",
         *       "expiresIn": 900,
         *       "acr": "mfa",
         *       "amr": [
         *         "pwd",
         *         "otp",
         *         "mfa"
         *       ]
         *     }
         */
        SessionToken: {
            /** @description The MFA token: send it as the bearer token from now on */
            token: string;
            /** @enum {string} */
            tokenType: "Bearer";
            /** @description Seconds until it ends; never past the end of the token that it was made from */
            expiresIn: number;
            /**
             * @description `none` and `idp-mfa`: for an application, of somebody who is allowed without our second factor
             * @enum {unknown}
             */
            acr: "mfa" | "mfa-recovery" | "none" | "idp-mfa";
            /** @description What was proved (RFC 8176): `otp` by TOTP, `recovery` by a recovery code */
            amr: string[];
        };
        FactorList: {
            items: components["schemas"]["Factor"][];
        };
        /**
         * @example {
         *       "label": "My tablet"
         *     }
         */
        RenameRequest: {
            /**
             * @description What the user calls this authenticator
             * @example My phone
             */
            label: string;
        };
        /**
         * @example {
         *       "token": "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6IjIwMjYtMTEifQ.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl",
         *       "tokenType": "Bearer",
         *       "expiresIn": 900,
         *       "acr": "mfa",
         *       "amr": [
         *         "pwd",
         *         "otp",
         *         "mfa"
         *       ]
         *     }
         */
        TokenAnswer: {
            /** @description The MFA token: send it as the bearer token from now on */
            token: string;
            /** @enum {string} */
            tokenType: "Bearer";
            /** @description Seconds until it ends; never past the end of the token that it was made from */
            expiresIn: number;
            /** @enum {unknown} */
            acr: "mfa" | "mfa-recovery";
            /** @description What was proved (RFC 8176): `otp` by TOTP, `recovery` by a recovery code */
            amr: string[];
        };
        /**
         * @description What the deployment asks at least; a field that is left out binds nothing. The stricter of the two decisions counts.
         * @example {
         *       "enforcement": "required",
         *       "groups": [
         *         "admins"
         *       ],
         *       "maxExemptionDays": 30
         *     }
         */
        PolicyFloor: {
            /**
             * @description `required`: whoever is covered and has no factor must enroll; `report_only`: nobody must, and each decision says what `required` would ask
             * @enum {unknown}
             */
            enforcement?: "optional" | "report_only" | "required";
            /** @description Whom it covers: who is in one of them; null: all users */
            groups?: string[] | null;
            /** @description From when the policy first meets a user; each has it once */
            gracePeriodDays?: number;
            enforceFrom?: string | null;
            /**
             * @description `exempt_sso_only`: whoever has an SSO account and no local one is left to the identity provider; `exempt_sso_session`: whichever session came in by SSO is; `none`: nobody is
             * @enum {unknown}
             */
            ssoRule?: "exempt_sso_only" | "exempt_sso_session" | "none";
            /** @description How long an exemption may be */
            maxExemptionDays?: number;
        };
        /**
         * @example {
         *       "enforcement": "required",
         *       "groups": [
         *         "staff"
         *       ],
         *       "gracePeriodDays": 14,
         *       "enforceFrom": null,
         *       "ssoRule": "exempt_sso_only",
         *       "version": 1,
         *       "updatedAt": "2026-11-24T12:00:00.000Z",
         *       "updatedBy": "8d0f1a52-94a1-4c4c-b1b5-02f6d8a3d9d3",
         *       "floor": null
         *     }
         */
        Policy: {
            /**
             * @description `required`: whoever is covered and has no factor must enroll; `report_only`: nobody must, and each decision says what `required` would ask
             * @enum {unknown}
             */
            enforcement: "optional" | "report_only" | "required";
            /** @description Whom it covers: who is in one of them; null: all users */
            groups: string[] | null;
            /** @description From when the policy first meets a user; each has it once */
            gracePeriodDays: number;
            enforceFrom: string | null;
            /**
             * @description `exempt_sso_only`: whoever has an SSO account and no local one is left to the identity provider; `exempt_sso_session`: whichever session came in by SSO is; `none`: nobody is
             * @enum {unknown}
             */
            ssoRule: "exempt_sso_only" | "exempt_sso_session" | "none";
            /** @description Its `ETag`; 0 until somebody changes it */
            version: number;
            updatedAt: string | null;
            /** @description The `userId` of an administrator, or `operator` */
            updatedBy: string | null;
            floor: components["schemas"]["PolicyFloor"] | null;
        };
        /**
         * @example {
         *       "enforcement": "report_only",
         *       "gracePeriodDays": 14
         *     }
         */
        PolicyChange: {
            /**
             * @description `required`: whoever is covered and has no factor must enroll; `report_only`: nobody must, and each decision says what `required` would ask
             * @enum {unknown}
             */
            enforcement?: "optional" | "report_only" | "required";
            /** @description Null: all users */
            groups?: string[] | null;
            /** @description From when the policy first meets a user; each has it once */
            gracePeriodDays?: number;
            /** @description Nobody must enroll before */
            enforceFrom?: string | null;
            /**
             * @description `exempt_sso_only`: whoever has an SSO account and no local one is left to the identity provider; `exempt_sso_session`: whichever session came in by SSO is; `none`: nobody is
             * @enum {unknown}
             */
            ssoRule?: "exempt_sso_only" | "exempt_sso_session" | "none";
        };
        /**
         * @example {
         *       "enforcement": "required",
         *       "groups": [
         *         "staff"
         *       ]
         *     }
         */
        PolicyDraft: {
            /**
             * @description `required`: whoever is covered and has no factor must enroll; `report_only`: nobody must, and each decision says what `required` would ask
             * @enum {unknown}
             */
            enforcement?: "optional" | "report_only" | "required";
            /** @description Null: all users */
            groups?: string[] | null;
            /** @description From when the policy first meets a user; each has it once */
            gracePeriodDays?: number;
            /** @description Nobody must enroll before */
            enforceFrom?: string | null;
            /**
             * @description `exempt_sso_only`: whoever has an SSO account and no local one is left to the identity provider; `exempt_sso_session`: whichever session came in by SSO is; `none`: nobody is
             * @enum {unknown}
             */
            ssoRule?: "exempt_sso_only" | "exempt_sso_session" | "none";
        };
        /**
         * @example {
         *       "users": 10,
         *       "enrolled": 5,
         *       "mustEnroll": 3,
         *       "inGrace": 1,
         *       "exempt": 1,
         *       "notCovered": 0
         *     }
         */
        PreviewCounts: {
            /** @description All, but for those who are disabled: the five below */
            users: number;
            /** @description Have an authenticator and are asked for its code */
            enrolled: number;
            /** @description Could not pass before they enroll */
            mustEnroll: number;
            /** @description Would pass until their deadline */
            inGrace: number;
            exempt: number;
            notCovered: number;
        };
        /**
         * @example {
         *       "users": 10,
         *       "enrolled": 5,
         *       "mustEnroll": 3,
         *       "inGrace": 1,
         *       "exempt": 1,
         *       "notCovered": 0,
         *       "byGroup": {
         *         "staff": {
         *           "users": 4,
         *           "enrolled": 2,
         *           "mustEnroll": 2,
         *           "inGrace": 0,
         *           "exempt": 0,
         *           "notCovered": 0
         *         }
         *       },
         *       "groupsUnknown": 0,
         *       "sample": [
         *         {
         *           "userId": "8d0f1a52-94a1-4c4c-b1b5-02f6d8a3d9d3",
         *           "subject": "alice",
         *           "account": "alice@example.com",
         *           "namespace": "https://id.example.com"
         *         }
         *       ]
         *     }
         */
        PolicyPreview: {
            /** @description All, but for those who are disabled: the five below */
            users: number;
            /** @description Have an authenticator and are asked for its code */
            enrolled: number;
            /** @description Could not pass before they enroll */
            mustEnroll: number;
            /** @description Would pass until their deadline */
            inGrace: number;
            exempt: number;
            notCovered: number;
            /** @description The 1000 largest groups; who is in several counts in each */
            byGroup: {
                [key: string]: components["schemas"]["PreviewCounts"];
            };
            /** @description Of whom an issuer left groups out: a policy for groups covers them */
            groupsUnknown: number;
            /** @description Some who must enroll */
            sample: {
                /**
                 * Format: uuid
                 * @example 5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11
                 */
                userId: string;
                subject: string;
                account: string;
                namespace: string;
            }[];
        };
        /**
         * @description More of one is at GET /admin/users/{userId}
         * @example {
         *       "userId": "8d0f1a52-94a1-4c4c-b1b5-02f6d8a3d9d3",
         *       "subject": "alice",
         *       "account": "alice@example.com",
         *       "namespace": "https://id.example.com",
         *       "tenant": "acme",
         *       "groups": [
         *         "staff"
         *       ],
         *       "accounts": [
         *         "local"
         *       ],
         *       "enrolled": false,
         *       "locked": false,
         *       "exemption": null,
         *       "graceUntil": "2026-12-08T12:00:00.000Z",
         *       "disabled": false,
         *       "createdAt": "2026-11-24T12:00:00.000Z",
         *       "decision": {
         *         "action": "allow",
         *         "reason": "grace",
         *         "deadline": "2026-12-08T12:00:00.000Z"
         *       }
         *     }
         */
        UserSummary: {
            /**
             * Format: uuid
             * @example 5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11
             */
            userId: string;
            subject: string;
            /** @description Shown to users, never an identity */
            account: string;
            namespace: string;
            tenant: string;
            groups: string[];
            accounts: ("local" | "sso")[];
            enrolled: boolean;
            /** @description Too many failures with codes of either kind */
            locked: boolean;
            exemption: components["schemas"]["Exemption"];
            graceUntil: string | null;
            disabled: boolean;
            /**
             * Format: date-time
             * @description RFC 3339, UTC
             * @example 2026-11-24T12:00:00.000Z
             */
            createdAt: string;
            decision: components["schemas"]["Decision"];
        };
        /**
         * @example {
         *       "items": [
         *         {
         *           "userId": "8d0f1a52-94a1-4c4c-b1b5-02f6d8a3d9d3",
         *           "subject": "alice",
         *           "account": "alice@example.com",
         *           "namespace": "https://id.example.com",
         *           "tenant": "acme",
         *           "groups": [
         *             "staff"
         *           ],
         *           "accounts": [
         *             "local"
         *           ],
         *           "enrolled": false,
         *           "locked": false,
         *           "exemption": null,
         *           "graceUntil": "2026-12-08T12:00:00.000Z",
         *           "disabled": false,
         *           "createdAt": "2026-11-24T12:00:00.000Z",
         *           "decision": {
         *             "action": "allow",
         *             "reason": "grace",
         *             "deadline": "2026-12-08T12:00:00.000Z"
         *           }
         *         }
         *       ],
         *       "nextCursor": null
         *     }
         */
        UserPage: {
            items: components["schemas"]["UserSummary"][];
            /** @description Of the next page; null with the last one */
            nextCursor: string | null;
        };
        /**
         * @example {
         *       "users": [
         *         {
         *           "subject": "alice",
         *           "account": "alice@example.com",
         *           "accounts": [
         *             "local",
         *             "sso"
         *           ],
         *           "groups": [
         *             "staff"
         *           ]
         *         },
         *         {
         *           "subject": "bob",
         *           "disabled": true
         *         }
         *       ]
         *     }
         */
        UserSync: {
            /** @description Each once */
            users: {
                /** @description As the issuer names him in its tokens */
                subject: string;
                /** @description Whose subject it is; may be left out where there is but one */
                namespace?: string;
                /** @description Shown to users, never an identity */
                account?: string;
                /** @description In place of all that was said before */
                accounts?: ("local" | "sso")[];
                /** @description In place of all that was said before */
                groups?: string[];
                /** @description Denied within a second, everywhere; or let in again */
                disabled?: boolean;
            }[];
        };
        /**
         * @example {
         *       "created": 1,
         *       "updated": 1,
         *       "unchanged": 0
         *     }
         */
        UserSyncResult: {
            created: number;
            updated: number;
            /** @description All was known already */
            unchanged: number;
        };
        /**
         * @description While it counts; else null
         * @example {
         *       "since": "2026-11-24T12:00:00.000Z",
         *       "until": "2026-11-30T12:00:00.000Z",
         *       "reason": "New phone on Monday",
         *       "by": "8d0f1a52-94a1-4c4c-b1b5-02f6d8a3d9d3"
         *     }
         */
        Exemption: {
            /**
             * Format: date-time
             * @description RFC 3339, UTC
             * @example 2026-11-24T12:00:00.000Z
             */
            since: string;
            until: string | null;
            reason: string;
            /** @description The `userId` of an administrator */
            by: string;
        } | null;
        /**
         * @example {
         *       "userId": "8d0f1a52-94a1-4c4c-b1b5-02f6d8a3d9d3",
         *       "subject": "alice",
         *       "account": "alice@example.com",
         *       "namespace": "https://id.example.com",
         *       "tenant": "acme",
         *       "groups": [
         *         "staff"
         *       ],
         *       "accounts": [
         *         "local"
         *       ],
         *       "enrolled": false,
         *       "factors": [],
         *       "recoveryCodes": null,
         *       "locks": {
         *         "totp": {
         *           "failures": 0,
         *           "waitUntil": null,
         *           "lockedAt": null
         *         }
         *       },
         *       "exemption": null,
         *       "graceUntil": "2026-12-08T12:00:00.000Z",
         *       "disabled": false,
         *       "createdAt": "2026-11-24T12:00:00.000Z",
         *       "decision": {
         *         "action": "allow",
         *         "reason": "grace",
         *         "deadline": "2026-12-08T12:00:00.000Z"
         *       }
         *     }
         */
        User: {
            /**
             * Format: uuid
             * @example 5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11
             */
            userId: string;
            subject: string;
            /** @description Shown to users, never an identity */
            account: string;
            namespace: string;
            tenant: string;
            groups: string[];
            accounts: ("local" | "sso")[];
            enrolled: boolean;
            factors: components["schemas"]["Factor"][];
            recoveryCodes: {
                total: number;
                remaining: number;
                acknowledgedAt: string | null;
            } | null;
            locks: {
                totp: {
                    /** @description In a row */
                    failures: number;
                    waitUntil: string | null;
                    lockedAt: string | null;
                };
            };
            exemption: components["schemas"]["Exemption"];
            graceUntil: string | null;
            disabled: boolean;
            /**
             * Format: date-time
             * @description RFC 3339, UTC
             * @example 2026-11-24T12:00:00.000Z
             */
            createdAt: string;
            decision: components["schemas"]["Decision"];
        };
        /**
         * @example {
         *       "exempt": true,
         *       "reason": "New phone on Monday",
         *       "until": "2030-01-07T12:00:00Z"
         *     }
         */
        ExemptionChange: {
            exempt: boolean;
            /**
             * @description Why; kept in the audit
             * @example Ticket 4711
             */
            reason: string;
            /**
             * Format: date-time
             * @description RFC 3339
             * @example 2027-01-01T00:00:00Z
             */
            until?: string;
        };
        /**
         * @example {
         *       "until": "2030-01-07T12:00:00Z",
         *       "reason": "On parental leave"
         *     }
         */
        GraceChange: {
            /**
             * Format: date-time
             * @description RFC 3339
             * @example 2027-01-01T00:00:00Z
             */
            until: string;
            /**
             * @description Why; kept in the audit
             * @example Ticket 4711
             */
            reason: string;
        };
        /**
         * @example {
         *       "reason": "Lost their phone, ticket 4711"
         *     }
         */
        UserAct: {
            /**
             * @description Why; kept in the audit
             * @example Ticket 4711
             */
            reason: string;
        };
        /**
         * @example {
         *       "reason": "Lost their phone, ticket 4711"
         *     }
         * @example {
         *       "reason": "Lost their phone, ticket 4711",
         *       "requireCode": true
         *     }
         */
        ResetRequest: {
            /**
             * @description Why; kept in the audit
             * @example Ticket 4711
             */
            reason: string;
            /** @description Nobody sets up a factor anew without the code in the answer, or one of a later bypass */
            requireCode?: boolean;
        };
        /**
         * @example {
         *       "reason": "Lost their phone, ticket 4711",
         *       "expiresInSeconds": 600
         *     }
         */
        BypassRequest: {
            /**
             * @description Why; kept in the audit
             * @example Ticket 4711
             */
            reason: string;
            /** @description How long it counts; 900 without it */
            expiresInSeconds?: number;
        };
        /**
         * @example {
         *       "code": "B7KM-2Q9R-WX4T-BN3C",
         *       "expiresAt": "2026-11-24T12:15:00.000Z"
         *     }
         */
        BypassAnswer: {
            /** @description For `POST /mfa/recovery`, once. It is shown now and never again */
            code: string;
            /**
             * Format: date-time
             * @description RFC 3339, UTC
             * @example 2026-11-24T12:00:00.000Z
             */
            expiresAt: string;
        };
        /**
         * @example {
         *       "users": 10,
         *       "enrolled": 5,
         *       "groups": [
         *         {
         *           "group": "staff",
         *           "users": 4,
         *           "enrolled": 2
         *         }
         *       ],
         *       "locked": 1,
         *       "codesRunningLow": 1,
         *       "enrolledPerDay": [
         *         {
         *           "day": "2026-11-23",
         *           "enrolled": 2
         *         },
         *         {
         *           "day": "2026-11-24",
         *           "enrolled": 3
         *         }
         *       ],
         *       "administrators": {
         *         "enrolled": 1,
         *         "notEnrolled": 1
         *       },
         *       "warning": "Fewer than two administrators are enrolled: if one loses the authenticator, nobody is left to help. Let another enroll."
         *     }
         */
        Stats: {
            /** @description All, but for those who are disabled: so in all that follows */
            users: number;
            /** @description Have an authenticator */
            enrolled: number;
            /** @description The 1000 largest; who is in several counts in each */
            groups: {
                group: string;
                users: number;
                enrolled: number;
            }[];
            /** @description Too many failures with codes of either kind */
            locked: number;
            /** @description Have three recovery codes left, or fewer */
            codesRunningLow: number;
            /** @description The last 30 days (UTC), today at the end: how many of those who are enrolled have been so since that day */
            enrolledPerDay: {
                /** Format: date */
                day: string;
                enrolled: number;
            }[];
            /** @description Users who were ever seen with an `mfa:` role */
            administrators: {
                enrolled: number;
                notEnrolled: number;
            };
            /** @description Fewer than two administrators are enrolled: one lost phone, and nobody administers */
            warning: string | null;
        };
        /**
         * @example {
         *       "id": "3c1f6f2e-2a43-4c8e-9d5e-7f0f6a1f4b20",
         *       "at": "2026-11-24T12:00:00.123456Z",
         *       "tenant": "acme",
         *       "actorId": "8d0f1a52-94a1-4c4c-b1b5-02f6d8a3d9d3",
         *       "actor": "alice@example.com",
         *       "userId": "8d0f1a52-94a1-4c4c-b1b5-02f6d8a3d9d3",
         *       "user": "alice@example.com",
         *       "action": "totp.accepted",
         *       "outcome": "success",
         *       "factorKind": "totp",
         *       "address": "192.0.2.7",
         *       "requestId": "0b6b2b2e-5a53-4d4e-9a53-3f9d3f1c2a10",
         *       "details": {
         *         "factorId": "5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11"
         *       }
         *     }
         */
        AuditEvent: {
            /**
             * Format: uuid
             * @example 5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11
             */
            id: string;
            /**
             * Format: date-time
             * @description RFC 3339, UTC, to the microsecond
             * @example 2026-11-24T12:00:00.123456Z
             */
            at: string;
            tenant: string;
            /** @description Who did it: a `userId`, a machine as `service:` and its subject, or `operator` */
            actorId: string | null;
            /** @description Their name to show: the account of today. Null once the user is erased */
            actor: string | null;
            /** @description Whom it is about: a `userId`, or a machine */
            userId: string | null;
            /** @description Their name to show, as `actor` */
            user: string | null;
            /**
             * @description What was done
             * @example factor.started
             * @example factor.confirmed
             * @example factor.renamed
             * @example factor.removed
             * @example totp.accepted
             * @example totp.refused
             * @example totp.locked
             * @example recovery.accepted
             * @example recovery.refused
             * @example recovery.low
             * @example recovery.regenerated
             * @example bypass.issued
             * @example bypass.used
             * @example session.ended
             * @example user.unlocked
             * @example user.reset
             * @example user.signed_out
             * @example user.exempted
             * @example user.grace_set
             * @example user.disabled
             * @example user.enabled
             * @example user.erased
             * @example users.synced
             * @example policy.changed
             * @example access.refused
             * @example secret.unreadable
             * @example key.rotated
             * @example spray.suspected
             * @example guessing.suspected
             * @example policy.would_enroll
             * @example notice.retried
             */
            action: string;
            /** @enum {unknown} */
            outcome: "success" | "failure";
            /** @description `totp`, `recovery`, or `bypass`: the code of an administrator */
            factorKind: string | null;
            /** @description Where it came from */
            address: string | null;
            /** @description As in `X-Request-Id` */
            requestId: string | null;
            /** @description More, by action; never a secret */
            details: {
                [key: string]: unknown;
            };
        };
        /**
         * @example {
         *       "items": [
         *         {
         *           "id": "3c1f6f2e-2a43-4c8e-9d5e-7f0f6a1f4b20",
         *           "at": "2026-11-24T12:00:00.123456Z",
         *           "tenant": "acme",
         *           "actorId": "8d0f1a52-94a1-4c4c-b1b5-02f6d8a3d9d3",
         *           "actor": "alice@example.com",
         *           "userId": "8d0f1a52-94a1-4c4c-b1b5-02f6d8a3d9d3",
         *           "user": "alice@example.com",
         *           "action": "totp.accepted",
         *           "outcome": "success",
         *           "factorKind": "totp",
         *           "address": "192.0.2.7",
         *           "requestId": "0b6b2b2e-5a53-4d4e-9a53-3f9d3f1c2a10",
         *           "details": {
         *             "factorId": "5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11"
         *           }
         *         }
         *       ],
         *       "nextCursor": null
         *     }
         */
        AuditPage: {
            items: components["schemas"]["AuditEvent"][];
            /** @description Of the next page; null with the last one */
            nextCursor: string | null;
        };
        /**
         * @example {
         *       "ok": false,
         *       "events": 1204,
         *       "brokenAt": {
         *         "position": 731,
         *         "id": "3c1f6f2e-2a43-4c8e-9d5e-7f0f6a1f4b20",
         *         "at": "2026-11-24T12:00:00.123456Z",
         *         "cause": "changed"
         *       }
         *     }
         */
        AuditVerdict: {
            ok: boolean;
            /** @description How many there are */
            events: number;
            /** @description The first event that is not as it was written */
            brokenAt?: {
                /** @description In the chain, from 1; null for what is in none */
                position: number | null;
                /** @description Of the event; null where nothing of it is left */
                id: string | null;
                at: string | null;
                /**
                 * @description `changed`: it, or the order; `missing`; `added` by somebody other than the service; `checkpoint`: what was signed up to here is gone, or does not open with our keys
                 * @enum {unknown}
                 */
                cause: "changed" | "missing" | "added" | "checkpoint";
            };
            /**
             * Format: date-time
             * @description Since when events wait to be chained that should be by now: the service is stopped, or kept from it; until then nothing shows whether they were changed
             */
            waitingSince?: string;
        };
        /**
         * @description The audit event of the same `id` says all of it.
         * @example {
         *       "id": "3c1f6f2e-2a43-4c8e-9d5e-7f0f6a1f4b20",
         *       "at": "2026-11-24T12:00:00.123456Z",
         *       "type": "user.reset",
         *       "userId": "8d0f1a52-94a1-4c4c-b1b5-02f6d8a3d9d3",
         *       "status": "parked",
         *       "attempts": 31,
         *       "failure": "answered 503",
         *       "lastTriedAt": "2026-11-25T12:00:00.000Z",
         *       "nextTryAt": null
         *     }
         */
        UndeliveredNotice: {
            /**
             * Format: uuid
             * @example 5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11
             */
            id: string;
            /**
             * Format: date-time
             * @description RFC 3339, UTC, to the microsecond: when it happened
             * @example 2026-11-24T12:00:00.123456Z
             */
            at: string;
            /**
             * @description The audit's action
             * @example user.reset
             */
            type: string;
            /** @description Whom it is about; null where that is the whole tenant */
            userId: string | null;
            /**
             * @description `waiting` for its first try, `retrying` after one that failed, `parked`: nobody tries any more
             * @enum {unknown}
             */
            status: "waiting" | "retrying" | "parked";
            attempts: number;
            /** @description Why the last try failed */
            failure: string | null;
            lastTriedAt: string | null;
            nextTryAt: string | null;
        };
        /**
         * @example {
         *       "items": [
         *         {
         *           "id": "3c1f6f2e-2a43-4c8e-9d5e-7f0f6a1f4b20",
         *           "at": "2026-11-24T12:00:00.123456Z",
         *           "type": "user.reset",
         *           "userId": "8d0f1a52-94a1-4c4c-b1b5-02f6d8a3d9d3",
         *           "status": "parked",
         *           "attempts": 31,
         *           "failure": "answered 503",
         *           "lastTriedAt": "2026-11-25T12:00:00.000Z",
         *           "nextTryAt": null
         *         }
         *       ],
         *       "nextCursor": null
         *     }
         */
        NoticePage: {
            items: components["schemas"]["UndeliveredNotice"][];
            /** @description Of the next page; null with the last one */
            nextCursor: string | null;
        };
        Notice: {
            /**
             * @description The audit's action
             * @example user.reset
             */
            type: string;
            /**
             * Format: date-time
             * @description RFC 3339, UTC, to the microsecond: when it happened
             * @example 2026-11-24T12:00:00.123456Z
             */
            timestamp: string;
            data: {
                tenant: string;
                /** @description Whom it is about; null where that is the whole tenant */
                userId: string | null;
                /** @description Whose name `subject` is */
                namespace: string | null;
                /** @description As the issuer names him; null where it is about the whole tenant, and of somebody erased */
                subject: string | null;
                /** @description What users call them, as an e-mail address; null as `subject` */
                account: string | null;
                /** @enum {unknown} */
                outcome: "success" | "failure";
                /** @description Who did it: a `userId`, a machine as `service:` and its subject, or `operator`; null where nobody in particular did */
                actorId: string | null;
                /** @description `totp`, `recovery` or `bypass` */
                factorKind: string | null;
                /** @description Where it came from */
                address: string | null;
                /** @description As in `X-Request-Id` */
                requestId: string | null;
                /** @description More, by type; never a secret */
                details: {
                    [key: string]: unknown;
                };
            };
        };
        /**
         * @example {
         *       "keys": [
         *         {
         *           "kty": "OKP",
         *           "crv": "Ed25519",
         *           "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
         *           "kid": "2026-11",
         *           "use": "sig",
         *           "alg": "EdDSA"
         *         }
         *       ]
         *     }
         */
        JwkSet: {
            keys: {
                kty: string;
                crv: string;
                x: string;
                y?: string;
                kid: string;
                /** @enum {string} */
                use: "sig";
                alg: string;
            }[];
        };
        /**
         * @example {
         *       "status": "ok"
         *     }
         */
        Health: {
            /** @enum {string} */
            status: "ok";
        };
        AuthorizeQuery: {
            /**
             * @description Only our own second factor counts, whatever the policy: not a recovery code, not the identity provider's
             * @enum {string}
             */
            acr?: "mfa";
            /** @description Seconds that may have passed since the second factor; it binds also who would pass without one */
            maxAge?: number;
        };
        ForwardAuthQuery: {
            /**
             * @description Only our own second factor counts, whatever the policy: not a recovery code, not the identity provider's
             * @enum {string}
             */
            acr?: "mfa";
            /** @description Seconds that may have passed since the second factor; it binds also who would pass without one */
            maxAge?: number;
        };
        ListUsersQuery: {
            /** @description As the issuer names them */
            subject?: string;
            /** @description The whole of it, in upper or lower case */
            account?: string;
            /** @description Whose subjects they are */
            namespace?: string;
            /**
             * @description `must_enroll`, `in_grace` and `exempt` as the decision is now, of a session without a second factor; `enrolled` and `not_enrolled`: has an authenticator or has none; `locked`: too many failures. Whoever is disabled is `disabled` alone
             * @enum {unknown}
             */
            status?: "enrolled" | "not_enrolled" | "must_enroll" | "in_grace" | "exempt" | "locked" | "disabled";
            /** @description A group that they are in */
            group?: string;
            /**
             * Format: date-time
             * @description RFC 3339; who has to enroll earlier than that, or now
             */
            deadlineBefore?: string;
            /** @description The `nextCursor` of the page before */
            cursor?: string;
            /** @description How many, 1 to 100; 50 without it */
            limit?: number;
        };
        ListAuditEventsQuery: {
            /** @description Whom it is about */
            userId?: string;
            /** @description The `sub` of whom it is about: finds the users who have it now */
            subject?: string;
            /** @description Who did it */
            actorId?: string;
            /**
             * @description What was done
             * @enum {unknown}
             */
            action?: "factor.started" | "factor.confirmed" | "factor.renamed" | "factor.removed" | "totp.accepted" | "totp.refused" | "totp.locked" | "recovery.accepted" | "recovery.refused" | "recovery.low" | "recovery.regenerated" | "bypass.issued" | "bypass.used" | "session.ended" | "user.unlocked" | "user.reset" | "user.signed_out" | "user.exempted" | "user.grace_set" | "user.disabled" | "user.enabled" | "user.erased" | "users.synced" | "policy.changed" | "access.refused" | "secret.unreadable" | "key.rotated" | "spray.suspected" | "guessing.suspected" | "policy.would_enroll" | "notice.retried";
            /**
             * Format: date-time
             * @description RFC 3339
             */
            from?: string;
            /**
             * Format: date-time
             * @description RFC 3339; up to, and not with, this time
             */
            to?: string;
            /** @description The `nextCursor` of the page before */
            cursor?: string;
            /** @description How many, 1 to 100; 50 without it */
            limit?: number;
        };
        ListUndeliveredNoticesQuery: {
            /** @description The `nextCursor` of the page before */
            cursor?: string;
            /** @description How many, 1 to 100; 50 without it */
            limit?: number;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type Problem = components['schemas']['Problem'];
export type Factor = components['schemas']['Factor'];
export type Decision = components['schemas']['Decision'];
export type Status = components['schemas']['Status'];
export type EnrollRequest = components['schemas']['EnrollRequest'];
export type EnrollAnswer = components['schemas']['EnrollAnswer'];
export type ConfirmRequest = components['schemas']['ConfirmRequest'];
export type ConfirmAnswer = components['schemas']['ConfirmAnswer'];
export type VerifyRequest = components['schemas']['VerifyRequest'];
export type VerifyAnswer = components['schemas']['VerifyAnswer'];
export type RecoverRequest = components['schemas']['RecoverRequest'];
export type RecoverAnswer = components['schemas']['RecoverAnswer'];
export type RecoveryStatus = components['schemas']['RecoveryStatus'];
export type NewRecoveryCodes = components['schemas']['NewRecoveryCodes'];
export type TokenRequest = components['schemas']['TokenRequest'];
export type SessionToken = components['schemas']['SessionToken'];
export type FactorList = components['schemas']['FactorList'];
export type RenameRequest = components['schemas']['RenameRequest'];
export type TokenAnswer = components['schemas']['TokenAnswer'];
export type PolicyFloor = components['schemas']['PolicyFloor'];
export type Policy = components['schemas']['Policy'];
export type PolicyChange = components['schemas']['PolicyChange'];
export type PolicyDraft = components['schemas']['PolicyDraft'];
export type PreviewCounts = components['schemas']['PreviewCounts'];
export type PolicyPreview = components['schemas']['PolicyPreview'];
export type UserSummary = components['schemas']['UserSummary'];
export type UserPage = components['schemas']['UserPage'];
export type UserSync = components['schemas']['UserSync'];
export type UserSyncResult = components['schemas']['UserSyncResult'];
export type Exemption = components['schemas']['Exemption'];
export type User = components['schemas']['User'];
export type ExemptionChange = components['schemas']['ExemptionChange'];
export type GraceChange = components['schemas']['GraceChange'];
export type UserAct = components['schemas']['UserAct'];
export type ResetRequest = components['schemas']['ResetRequest'];
export type BypassRequest = components['schemas']['BypassRequest'];
export type BypassAnswer = components['schemas']['BypassAnswer'];
export type Stats = components['schemas']['Stats'];
export type AuditEvent = components['schemas']['AuditEvent'];
export type AuditPage = components['schemas']['AuditPage'];
export type AuditVerdict = components['schemas']['AuditVerdict'];
export type UndeliveredNotice = components['schemas']['UndeliveredNotice'];
export type NoticePage = components['schemas']['NoticePage'];
export type Notice = components['schemas']['Notice'];
export type JwkSet = components['schemas']['JwkSet'];
export type Health = components['schemas']['Health'];
export type AuthorizeQuery = components['schemas']['AuthorizeQuery'];
export type ForwardAuthQuery = components['schemas']['ForwardAuthQuery'];
export type ListUsersQuery = components['schemas']['ListUsersQuery'];
export type ListAuditEventsQuery = components['schemas']['ListAuditEventsQuery'];
export type ListUndeliveredNoticesQuery = components['schemas']['ListUndeliveredNoticesQuery'];
