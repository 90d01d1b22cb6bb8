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
            code: "invalid_request" | "invalid_token" | "step_up_required" | "forbidden" | "enrollment_required" | "login_time_unknown" | "factor_locked" | "not_found" | "method_not_allowed" | "required_by_policy" | "too_many_factors" | "not_enrolled" | "not_offered" | "label_taken" | "precondition_failed" | "payload_too_large" | "token_too_large" | "unsupported_media_type" | "code_refused" | "too_many_attempts" | "internal" | "unavailable" | "outcome_unknown";
            /** @description With `invalid_request`, and with `required_by_policy` for a policy: the fields. Never their values. */
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
             * @description Only a passkey counts: of `step_up_required`, and for gateways of what must be set up.
             * @enum {unknown}
             */
            acr?: "phr";
            /**
             * @description With `invalid_token`, only outside production: what did not fit, and what was expected.
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
         *       "nextCodeAt": null,
         *       "passkey": null
         *     }
         */
        Factor: {
            /**
             * Format: uuid
             * @example 5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11
             */
            id: string;
            /** @enum {unknown} */
            kind: "totp" | "passkey";
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
            /** @description When its next code is accepted, if the present one was used. Null for a kind without codes */
            nextCodeAt: string | null;
            /** @description Of a passkey. Null for any other kind */
            passkey: {
                /** @description The domain that it is bound to */
                rpId: string;
                /** @description As browsers know it. Null until it is confirmed */
                credentialId: string | null;
                /** @description Whether it lives on several devices. Null until it is confirmed */
                synced: boolean | null;
                /** @description What keeps it, as that says itself. Nothing proves it */
                provider: string | null;
                /** @description False until it is confirmed, and if it was made for another domain than the one that is configured now */
                usable: boolean;
            } | null;
        };
        /** @description What must happen next */
        Decision: {
            /** @enum {string} */
            action: "allow";
            /** @enum {string} */
            reason: "mfa_verified" | "idp_mfa" | "trusted_device" | "not_required" | "exempt_sso" | "exempt_user" | "grace" | "report_only";
            /**
             * Format: date-time
             * @description Until when it is so. With `grace`, the user must set up a factor by then. With any other reason, only a passkey counts from then on
             */
            deadline?: string;
            /** @description Where a policy only reports: what would be decided if it were `required` */
            wouldBe?: components["schemas"]["Decision"];
        } | {
            /** @enum {string} */
            action: "verify";
            /** @enum {string} */
            reason: "factor_enrolled" | "phishing_resistant_required";
            /**
             * @description With `verify`: only a passkey counts. Do not ask for a code
             * @enum {string}
             */
            acr?: "phr";
            /**
             * Format: date-time
             * @description Until when it is so. With `grace`, the user must set up a factor by then. With any other reason, only a passkey counts from then on
             */
            deadline?: string;
            /** @description Where a policy only reports: what would be decided if it were `required` */
            wouldBe?: components["schemas"]["Decision"];
        } | {
            /** @enum {string} */
            action: "enroll";
            /** @enum {string} */
            reason: "required_by_policy" | "phishing_resistant_required";
            /**
             * @description With `enroll`: the login is too old. Sign the user in again first
             * @enum {boolean}
             */
            loginFirst?: true;
            /**
             * @description With `enroll`: the token does not say when the login was, so the user can't enroll, and a new login would not help. Say so and stop: the operator must change the issuer
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
         *       "offers": [
         *         "totp",
         *         "passkey"
         *       ],
         *       "recoveryCodes": null,
         *       "trustedDeviceDays": 0,
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
            /** @description The name to show. Never an identity */
            account: string;
            tenant: string;
            namespace: string;
            /** @description Whether there is an active authenticator */
            enrolled: boolean;
            factors: components["schemas"]["Factor"][];
            /** @description What can be set up here */
            offers: ("totp" | "passkey")[];
            recoveryCodes: {
                total: number;
                remaining: number;
                acknowledgedAt: string | null;
            } | null;
            /** @description For how many days the user may trust a device (`POST /mfa/devices`). 0: do not offer it */
            trustedDeviceDays: number;
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
            /** @description Base32 without padding, for typing. It is shown only now */
            secret: string;
            /** @description The key URI that authenticator apps read */
            otpauthUri: string;
            /** @description The same as a PNG image, in a `data:` URL */
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
             * @description Six digits in a string, as the authenticator shows them. Spaces, dashes and other scripts' digits are fine
             * @example 492039
             * @example 492 039
             */
            code: string;
            /**
             * @description One of the configured applications (`MFA_APPLICATION_AUDIENCES`). The token is for that application, and opens nothing here
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
            /** @description Ten with the first authenticator. Null with a further one */
            recoveryCodes: string[] | null;
            /** @description The MFA token. Send it as the bearer token from now on */
            token: string;
            /** @enum {string} */
            tokenType: "Bearer";
            /** @description Seconds until it ends. It never outlives the token that it was made from */
            expiresIn: number;
            /**
             * @description `phr`: a passkey. An application's token says so only if you asked for it
             * @enum {unknown}
             */
            acr: "mfa" | "mfa-recovery" | "phr";
            /** @description What was proved (RFC 8176): `otp` for TOTP, `pop` and `user` for a passkey, `recovery` for a recovery code */
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
             * @description Six digits in a string, as the authenticator shows them. Spaces, dashes and other scripts' digits are fine
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
             * @description One of the configured applications (`MFA_APPLICATION_AUDIENCES`). The token is for that application, and opens nothing here
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
            /** @description The MFA token. Send it as the bearer token from now on */
            token: string;
            /** @enum {string} */
            tokenType: "Bearer";
            /** @description Seconds until it ends. It never outlives the token that it was made from */
            expiresIn: number;
            /**
             * @description `phr`: a passkey. An application's token says so only if you asked for it
             * @enum {unknown}
             */
            acr: "mfa" | "mfa-recovery" | "phr";
            /** @description What was proved (RFC 8176): `otp` for TOTP, `pop` and `user` for a passkey, `recovery` for a recovery code */
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
         *       "label": "My laptop"
         *     }
         */
        PasskeyRequest: {
            /**
             * @description What the user calls this authenticator
             * @example My phone
             */
            label?: string;
        };
        /**
         * @example {
         *       "factorId": "5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11",
         *       "options": {
         *         "timeout": 300000,
         *         "challenge": "AMMPt4UxxGTStncdq417YDwBFi-khr6nDyg65VbhMMA",
         *         "rp": {
         *           "id": "example.com",
         *           "name": "Headless MFA"
         *         },
         *         "user": {
         *           "id": "jQ8aUpShTEyxtQL22KnT2Q",
         *           "name": "alice@example.com",
         *           "displayName": "alice@example.com"
         *         },
         *         "pubKeyCredParams": [
         *           {
         *             "type": "public-key",
         *             "alg": -7
         *           },
         *           {
         *             "type": "public-key",
         *             "alg": -8
         *           },
         *           {
         *             "type": "public-key",
         *             "alg": -257
         *           }
         *         ],
         *         "excludeCredentials": [],
         *         "authenticatorSelection": {
         *           "residentKey": "preferred",
         *           "requireResidentKey": false,
         *           "userVerification": "required"
         *         },
         *         "attestation": "none"
         *       },
         *       "expiresAt": "2026-11-24T12:10:00.000Z"
         *     }
         */
        PasskeyAnswer: {
            /**
             * Format: uuid
             * @example 5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11
             */
            factorId: string;
            /** @description For `navigator.credentials.create()`: a `PublicKeyCredentialCreationOptionsJSON` */
            options: {
                rp: {
                    id: string;
                    name: string;
                };
                user: {
                    id: string;
                    name: string;
                    displayName: string;
                };
                challenge: string;
                pubKeyCredParams: {
                    /** @enum {string} */
                    type: "public-key";
                    alg: number;
                }[];
                timeout: number;
                excludeCredentials: {
                    /** @enum {string} */
                    type: "public-key";
                    id: string;
                    transports: string[];
                }[];
                authenticatorSelection: {
                    /** @enum {string} */
                    residentKey: "preferred";
                    /** @enum {boolean} */
                    requireResidentKey: false;
                    /** @enum {unknown} */
                    userVerification: "required" | "preferred";
                };
                /** @enum {string} */
                attestation: "none";
            };
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
         *       "credential": {
         *         "id": "-R85HbTJsv3g6nAYnLo_tj9Xm6YSKzOtlP8-wzAIS-Q",
         *         "rawId": "-R85HbTJsv3g6nAYnLo_tj9Xm6YSKzOtlP8-wzAIS-Q",
         *         "type": "public-key",
         *         "clientExtensionResults": {},
         *         "response": {
         *           "clientDataJSON": "eyJ0eXBlIjoid2ViYXV0aG4uY3JlYXRlIn0",
         *           "attestationObject": "o2NmbXRkbm9uZQ",
         *           "transports": [
         *             "internal"
         *           ]
         *         }
         *       }
         *     }
         */
        PasskeyConfirmRequest: {
            /**
             * Format: uuid
             * @example 5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11
             */
            factorId: string;
            /** @description What `navigator.credentials.create()` gave, by `toJSON()` */
            credential: {
                /** @description The id of the credential, base64url */
                id: string;
                /** @enum {string} */
                type: "public-key";
                response: {
                    /** @description What the browser has signed with, base64url */
                    clientDataJSON: string;
                    /** @description What the authenticator made, base64url */
                    attestationObject: string;
                    /** @description How the browser reached the authenticator */
                    transports?: string[];
                };
            } & {
                [key: string]: unknown;
            };
            /**
             * @description One of the configured applications (`MFA_APPLICATION_AUDIENCES`). The token is for that application, and opens nothing here
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
         *         "mfa"
         *       ],
         *       "nextCodeAt": null
         *     }
         */
        PasskeyConfirmAnswer: {
            /**
             * Format: uuid
             * @example 5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11
             */
            factorId: string;
            /** @description Ten with the first factor. Null with a further one */
            recoveryCodes: string[] | null;
            /** @description The MFA token. Send it as the bearer token from now on */
            token: string;
            /** @enum {string} */
            tokenType: "Bearer";
            /** @description Seconds until it ends. It never outlives the token that it was made from */
            expiresIn: number;
            /**
             * @description `phr`: a passkey. An application's token says so only if you asked for it
             * @enum {unknown}
             */
            acr: "mfa" | "mfa-recovery" | "phr";
            /** @description What was proved (RFC 8176): `otp` for TOTP, `pop` and `user` for a passkey, `recovery` for a recovery code */
            amr: string[];
            nextCodeAt: string | null;
        };
        /** @example {} */
        PasskeyChallengeRequest: Record<string, never>;
        /**
         * @example {
         *       "options": {
         *         "timeout": 300000,
         *         "challenge": "AMMPt4UxxGTStncdq417YDwBFi-khr6nDyg65VbhMMA",
         *         "rpId": "example.com",
         *         "allowCredentials": [
         *           {
         *             "type": "public-key",
         *             "id": "-R85HbTJsv3g6nAYnLo_tj9Xm6YSKzOtlP8-wzAIS-Q",
         *             "transports": [
         *               "internal"
         *             ]
         *           }
         *         ],
         *         "userVerification": "required"
         *       },
         *       "expiresAt": "2026-11-24T12:05:00.000Z"
         *     }
         */
        PasskeyChallenge: {
            /** @description For `navigator.credentials.get()`: a `PublicKeyCredentialRequestOptionsJSON` */
            options: {
                rpId: string;
                challenge: string;
                timeout: number;
                allowCredentials: {
                    /** @enum {string} */
                    type: "public-key";
                    id: string;
                    transports: string[];
                }[];
                /** @enum {unknown} */
                userVerification: "required" | "preferred";
            };
            /**
             * Format: date-time
             * @description RFC 3339, UTC
             * @example 2026-11-24T12:00:00.000Z
             */
            expiresAt: string;
        };
        /**
         * @example {
         *       "credential": {
         *         "id": "-R85HbTJsv3g6nAYnLo_tj9Xm6YSKzOtlP8-wzAIS-Q",
         *         "rawId": "-R85HbTJsv3g6nAYnLo_tj9Xm6YSKzOtlP8-wzAIS-Q",
         *         "type": "public-key",
         *         "clientExtensionResults": {},
         *         "response": {
         *           "clientDataJSON": "eyJ0eXBlIjoid2ViYXV0aG4uZ2V0In0",
         *           "authenticatorData": "v6vDdDKViwYzYNOtZGHJxHNa5_jt1GWSpeDwFFKy5LUZAAAAAA",
         *           "signature": "MEYCIQD1Ck4uRAkk",
         *           "userHandle": "jQ8aUpShTEyxtQL22KnT2Q"
         *         }
         *       }
         *     }
         */
        PasskeyVerifyRequest: {
            /** @description What `navigator.credentials.get()` gave, by `toJSON()` */
            credential: {
                /** @description The id of the credential, base64url */
                id: string;
                /** @enum {string} */
                type: "public-key";
                response: {
                    /** @description What the browser has signed with, base64url */
                    clientDataJSON: string;
                    /** @description What the authenticator says of itself, base64url */
                    authenticatorData: string;
                    /** @description Over both, base64url */
                    signature: string;
                    /** @description The user, as the authenticator knows them */
                    userHandle?: string | null;
                };
            } & {
                [key: string]: unknown;
            };
            /**
             * @description One of the configured applications (`MFA_APPLICATION_AUDIENCES`). The token is for that application, and opens nothing here
             * @example billing
             */
            audience?: string;
            /**
             * @description Only a passkey counts, and the token says so: `acr` is `phr`
             * @example phr
             * @enum {string}
             */
            acr?: "phr";
        };
        /**
         * @example {
         *       "token": "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6IjIwMjYtMTEifQ.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl",
         *       "tokenType": "Bearer",
         *       "expiresIn": 900,
         *       "acr": "phr",
         *       "amr": [
         *         "pwd",
         *         "pop",
         *         "user",
         *         "mfa"
         *       ],
         *       "factorId": "5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11"
         *     }
         */
        PasskeyVerifyAnswer: {
            /** @description The MFA token. Send it as the bearer token from now on */
            token: string;
            /** @enum {string} */
            tokenType: "Bearer";
            /** @description Seconds until it ends. It never outlives the token that it was made from */
            expiresIn: number;
            /**
             * @description `phr`: a passkey. An application's token says so only if you asked for it
             * @enum {unknown}
             */
            acr: "mfa" | "mfa-recovery" | "phr";
            /** @description What was proved (RFC 8176): `otp` for TOTP, `pop` and `user` for a passkey, `recovery` for a recovery code */
            amr: string[];
            /**
             * Format: uuid
             * @example 5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11
             */
            factorId: string;
        };
        /**
         * @example {
         *       "code": "0K7M-2Q9R-WX4T-BN3C"
         *     }
         */
        RecoverRequest: {
            /**
             * @description Upper or lower case. Dashes, spaces, full-width characters and other scripts' digits are fine. `O` is read as `0`, `I` and `L` as `1`
             * @example 0K7M-2Q9R-WX4T-BN3C
             * @example 0k7m 2q9r wx4t bn3c
             */
            code: string;
            /**
             * @description One of the configured applications (`MFA_APPLICATION_AUDIENCES`). The token is for that application, and opens nothing here
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
            /** @description The MFA token. Send it as the bearer token from now on */
            token: string;
            /** @enum {string} */
            tokenType: "Bearer";
            /** @description Seconds until it ends. It never outlives the token that it was made from */
            expiresIn: number;
            /**
             * @description `phr`: a passkey. An application's token says so only if you asked for it
             * @enum {unknown}
             */
            acr: "mfa" | "mfa-recovery" | "phr";
            /** @description What was proved (RFC 8176): `otp` for TOTP, `pop` and `user` for a passkey, `recovery` for a recovery code */
            amr: string[];
            /** @description How many recovery codes are left. Offer new ones at 3 or fewer */
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
            /** @description When the user said that they saved them */
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
            /** @description Each works once. They are shown only now. */
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
             * @description One of the configured applications (`MFA_APPLICATION_AUDIENCES`). The token is for that application, and opens nothing here
             * @example billing
             */
            audience?: string;
            /**
             * @description Only a passkey counts, and the token says so: `acr` is `phr`
             * @example phr
             * @enum {string}
             */
            acr?: "phr";
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
            /** @description The MFA token. Send it as the bearer token from now on */
            token: string;
            /** @enum {string} */
            tokenType: "Bearer";
            /** @description Seconds until it ends. It never outlives the token that it was made from */
            expiresIn: number;
            /**
             * @description `phr`: a passkey; for an application only if you asked for it. `mfa-device`: a trusted device. `none` and `idp-mfa` are only in tokens for an application, for users who are allowed without a second factor here
             * @enum {unknown}
             */
            acr: "mfa" | "mfa-recovery" | "mfa-device" | "phr" | "none" | "idp-mfa";
            /** @description What was proved (RFC 8176): `otp` for TOTP, `pop` and `user` for a passkey, `recovery` for a recovery code */
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
            /** @description The MFA token. Send it as the bearer token from now on */
            token: string;
            /** @enum {string} */
            tokenType: "Bearer";
            /** @description Seconds until it ends. It never outlives the token that it was made from */
            expiresIn: number;
            /**
             * @description `phr`: a passkey. An application's token says so only if you asked for it
             * @enum {unknown}
             */
            acr: "mfa" | "mfa-recovery" | "phr";
            /** @description What was proved (RFC 8176): `otp` for TOTP, `pop` and `user` for a passkey, `recovery` for a recovery code */
            amr: string[];
        };
        /**
         * @example {
         *       "name": "Work laptop"
         *     }
         * @example {}
         */
        TrustRequest: {
            /**
             * @description What the user calls this device
             * @example Work laptop
             */
            name?: string;
        };
        /**
         * @example {
         *       "deviceId": "9b0c3d6e-1f2a-4b5c-8d7e-6f5a4b3c2d1e",
         *       "deviceToken": "mfad_mww9bh8qS1yNfm9aSzwtHgABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f",
         *       "expiresAt": "2026-12-24T12:00:00.000Z"
         *     }
         */
        NewDevice: {
            /**
             * Format: uuid
             * @example 5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11
             */
            deviceId: string;
            /** @description A secret. Keep it where only this device has it. It is shown only now */
            deviceToken: string;
            /**
             * Format: date-time
             * @description Until when it can be used. It counts from the proof of the second factor: use does not extend it
             * @example 2026-11-24T12:00:00.000Z
             */
            expiresAt: string;
        };
        /**
         * @example {
         *       "deviceToken": "mfad_mww9bh8qS1yNfm9aSzwtHgABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
         *     }
         */
        DeviceUse: {
            /**
             * @description As `POST /mfa/devices` gave it
             * @example mfad_mww9bh8qS1yNfm9aSzwtHgABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f
             */
            deviceToken: string;
            /**
             * @description One of the configured applications (`MFA_APPLICATION_AUDIENCES`). The token is for that application, and opens nothing here
             * @example billing
             */
            audience?: string;
        };
        /**
         * @example {
         *       "token": "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6IjIwMjYtMTEifQ.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl",
         *       "tokenType": "Bearer",
         *       "expiresIn": 900,
         *       "acr": "mfa-device",
         *       "amr": [
         *         "pwd"
         *       ]
         *     }
         */
        LiftedToken: {
            /** @description The MFA token. Send it as the bearer token from now on */
            token: string;
            /** @enum {string} */
            tokenType: "Bearer";
            /** @description Seconds until it ends. It never outlives the token that it was made from */
            expiresIn: number;
            /**
             * @description `mfa-device`, or what was proved in this session before
             * @enum {unknown}
             */
            acr: "mfa-device" | "mfa" | "mfa-recovery" | "phr";
            /** @description What was proved (RFC 8176): `otp` for TOTP, `pop` and `user` for a passkey, `recovery` for a recovery code */
            amr: string[];
        };
        /**
         * @example {
         *       "id": "9b0c3d6e-1f2a-4b5c-8d7e-6f5a4b3c2d1e",
         *       "name": "Work laptop",
         *       "factorId": "5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11",
         *       "createdAt": "2026-11-24T12:00:00.000Z",
         *       "lastUsedAt": null,
         *       "expiresAt": "2026-12-24T12:00:00.000Z"
         *     }
         */
        Device: {
            /**
             * Format: uuid
             * @example 5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11
             */
            id: string;
            name: string | null;
            /**
             * Format: uuid
             * @description The authenticator that was proved
             * @example 5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11
             */
            factorId: string;
            /**
             * Format: date-time
             * @description RFC 3339, UTC
             * @example 2026-11-24T12:00:00.000Z
             */
            createdAt: string;
            lastUsedAt: string | null;
            /**
             * Format: date-time
             * @description RFC 3339, UTC
             * @example 2026-11-24T12:00:00.000Z
             */
            expiresAt: string;
        };
        DeviceList: {
            items: components["schemas"]["Device"][];
        };
        /**
         * @description What the deployment requires at least. Only the fields it has are enforced. The stricter of the two decisions counts.
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
             * @description `required`: users that the policy covers must enroll. `report_only`: no one must, and each decision says what `required` would ask. `optional`: no one must
             * @enum {unknown}
             */
            enforcement?: "optional" | "report_only" | "required";
            /** @description Only users in one of these groups are covered. Null: everyone */
            groups?: string[] | null;
            /** @description Days to enroll, counted from the first time the policy applies to a user. Each user gets them once */
            gracePeriodDays?: number;
            enforceFrom?: string | null;
            /**
             * @description Which users are left to the identity provider. `exempt_sso_only`: users who can only sign in by SSO. `exempt_sso_session`: every session that came in by SSO. `none`: no one
             * @enum {unknown}
             */
            ssoRule?: "exempt_sso_only" | "exempt_sso_session" | "none";
            /**
             * @description Who needs a passkey, or MFA of an identity provider whose issuer is configured to be phishing-resistant. `administrators`: everyone who ever had an `mfa:` role, whatever the other fields say. `required`: everyone who must have MFA by `enforcement` `required`, once their grace is over. `off`: no one
             * @enum {unknown}
             */
            phishingResistant?: "off" | "administrators" | "required";
            phishingResistantFrom?: string | null;
            /** @description For how many days users may trust a device: it is not asked again. 0: not at all. It counts for devices that are there, too */
            trustedDeviceDays?: number;
            /** @description How many days an exemption may last */
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
         *       "phishingResistant": "administrators",
         *       "phishingResistantFrom": "2026-12-24T12:00:00.000Z",
         *       "trustedDeviceDays": 0,
         *       "version": 1,
         *       "updatedAt": "2026-11-24T12:00:00.000Z",
         *       "updatedBy": "8d0f1a52-94a1-4c4c-b1b5-02f6d8a3d9d3",
         *       "floor": null
         *     }
         */
        Policy: {
            /**
             * @description `required`: users that the policy covers must enroll. `report_only`: no one must, and each decision says what `required` would ask. `optional`: no one must
             * @enum {unknown}
             */
            enforcement: "optional" | "report_only" | "required";
            /** @description Only users in one of these groups are covered. Null: everyone */
            groups: string[] | null;
            /** @description Days to enroll, counted from the first time the policy applies to a user. Each user gets them once */
            gracePeriodDays: number;
            enforceFrom: string | null;
            /**
             * @description Which users are left to the identity provider. `exempt_sso_only`: users who can only sign in by SSO. `exempt_sso_session`: every session that came in by SSO. `none`: no one
             * @enum {unknown}
             */
            ssoRule: "exempt_sso_only" | "exempt_sso_session" | "none";
            /**
             * @description Who needs a passkey, or MFA of an identity provider whose issuer is configured to be phishing-resistant. `administrators`: everyone who ever had an `mfa:` role, whatever the other fields say. `required`: everyone who must have MFA by `enforcement` `required`, once their grace is over. `off`: no one
             * @enum {unknown}
             */
            phishingResistant: "off" | "administrators" | "required";
            phishingResistantFrom: string | null;
            /** @description For how many days users may trust a device: it is not asked again. 0: not at all. It counts for devices that are there, too */
            trustedDeviceDays: number;
            /** @description The `ETag`. 0 until the first change */
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
             * @description `required`: users that the policy covers must enroll. `report_only`: no one must, and each decision says what `required` would ask. `optional`: no one must
             * @enum {unknown}
             */
            enforcement?: "optional" | "report_only" | "required";
            /** @description Only users in one of these groups are covered. Null: everyone */
            groups?: string[] | null;
            /** @description Days to enroll, counted from the first time the policy applies to a user. Each user gets them once */
            gracePeriodDays?: number;
            /** @description No one must enroll before this time */
            enforceFrom?: string | null;
            /**
             * @description Which users are left to the identity provider. `exempt_sso_only`: users who can only sign in by SSO. `exempt_sso_session`: every session that came in by SSO. `none`: no one
             * @enum {unknown}
             */
            ssoRule?: "exempt_sso_only" | "exempt_sso_session" | "none";
            /**
             * @description Who needs a passkey, or MFA of an identity provider whose issuer is configured to be phishing-resistant. `administrators`: everyone who ever had an `mfa:` role, whatever the other fields say. `required`: everyone who must have MFA by `enforcement` `required`, once their grace is over. `off`: no one
             * @enum {unknown}
             */
            phishingResistant?: "off" | "administrators" | "required";
            /** @description No one needs a passkey before this time, which decisions have as their `deadline` */
            phishingResistantFrom?: string | null;
            /** @description For how many days users may trust a device: it is not asked again. 0: not at all. It counts for devices that are there, too */
            trustedDeviceDays?: number;
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
             * @description `required`: users that the policy covers must enroll. `report_only`: no one must, and each decision says what `required` would ask. `optional`: no one must
             * @enum {unknown}
             */
            enforcement?: "optional" | "report_only" | "required";
            /** @description Only users in one of these groups are covered. Null: everyone */
            groups?: string[] | null;
            /** @description Days to enroll, counted from the first time the policy applies to a user. Each user gets them once */
            gracePeriodDays?: number;
            /** @description No one must enroll before this time */
            enforceFrom?: string | null;
            /**
             * @description Which users are left to the identity provider. `exempt_sso_only`: users who can only sign in by SSO. `exempt_sso_session`: every session that came in by SSO. `none`: no one
             * @enum {unknown}
             */
            ssoRule?: "exempt_sso_only" | "exempt_sso_session" | "none";
            /**
             * @description Who needs a passkey, or MFA of an identity provider whose issuer is configured to be phishing-resistant. `administrators`: everyone who ever had an `mfa:` role, whatever the other fields say. `required`: everyone who must have MFA by `enforcement` `required`, once their grace is over. `off`: no one
             * @enum {unknown}
             */
            phishingResistant?: "off" | "administrators" | "required";
            /** @description No one needs a passkey before this time, which decisions have as their `deadline` */
            phishingResistantFrom?: string | null;
            /** @description For how many days users may trust a device: it is not asked again. 0: not at all. It counts for devices that are there, too */
            trustedDeviceDays?: number;
        };
        /**
         * @example {
         *       "users": 10,
         *       "enrolled": 5,
         *       "mustEnroll": 3,
         *       "inGrace": 1,
         *       "exempt": 1,
         *       "notCovered": 0,
         *       "needPasskey": 0
         *     }
         */
        PreviewCounts: {
            /** @description All users but disabled ones: the sum of the five below */
            users: number;
            /** @description Have an authenticator, and are asked for it */
            enrolled: number;
            /** @description Must set up an authenticator, or a passkey, before they can go on */
            mustEnroll: number;
            /** @description Can go on until their deadline */
            inGrace: number;
            exempt: number;
            notCovered: number;
            /** @description Of all of these: need a passkey, now or later, and have none that can be used. Not a part of the sum */
            needPasskey: number;
        };
        /**
         * @example {
         *       "users": 10,
         *       "enrolled": 5,
         *       "mustEnroll": 3,
         *       "inGrace": 1,
         *       "exempt": 1,
         *       "notCovered": 0,
         *       "needPasskey": 0,
         *       "byGroup": {
         *         "staff": {
         *           "users": 4,
         *           "enrolled": 2,
         *           "mustEnroll": 2,
         *           "inGrace": 0,
         *           "exempt": 0,
         *           "notCovered": 0,
         *           "needPasskey": 0
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
            /** @description All users but disabled ones: the sum of the five below */
            users: number;
            /** @description Have an authenticator, and are asked for it */
            enrolled: number;
            /** @description Must set up an authenticator, or a passkey, before they can go on */
            mustEnroll: number;
            /** @description Can go on until their deadline */
            inGrace: number;
            exempt: number;
            notCovered: number;
            /** @description Of all of these: need a passkey, now or later, and have none that can be used. Not a part of the sum */
            needPasskey: number;
            /** @description The 1000 largest groups. A user in several counts in each */
            byGroup: {
                [key: string]: components["schemas"]["PreviewCounts"];
            };
            /** @description Users whose groups are not all known, because an issuer left some out. A policy for groups covers them */
            groupsUnknown: number;
            /** @description Some of the users who must enroll */
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
         * @description GET /admin/users/{userId} says more about one user
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
            /** @description The name to show. Never an identity */
            account: string;
            namespace: string;
            tenant: string;
            groups: string[];
            accounts: ("local" | "sso")[];
            enrolled: boolean;
            /** @description Locked after too many wrong codes */
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
            /** @description Cursor of the next page. Null on the last one */
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
            /** @description Each user once */
            users: {
                /** @description The user's `sub` */
                subject: string;
                /** @description The issuer that the `sub` belongs to. Leave it out if there is only one */
                namespace?: string;
                /** @description The name to show. Never an identity */
                account?: string;
                /** @description Replaces all that was known before */
                accounts?: ("local" | "sso")[];
                /** @description Replaces all that was known before */
                groups?: string[];
                /** @description True: the user is denied within a second, everywhere. False: they are let in again */
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
            /** @description Everything was known already */
            unchanged: number;
        };
        /**
         * @description Null if there is none, or it is over
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
         *       "devices": [],
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
            /** @description The name to show. Never an identity */
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
            /** @description That the user trusts */
            devices: components["schemas"]["Device"][];
            /** @description By the kinds of factor that wrong codes lock */
            locks: {
                totp: {
                    /** @description Wrong codes in a row */
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
             * @description Why. The audit keeps it
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
             * @description Why. The audit keeps it
             * @example Ticket 4711
             */
            reason: string;
        };
        /**
         * @example {
         *       "reason": "Lost their phone, ticket 4711"
         *     }
         */
        UserAction: {
            /**
             * @description Why. The audit keeps it
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
             * @description Why. The audit keeps it
             * @example Ticket 4711
             */
            reason: string;
            /** @description The user can only set up a new factor with the code in the answer, or with a later bypass code */
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
             * @description Why. The audit keeps it
             * @example Ticket 4711
             */
            reason: string;
            /** @description How long the code works. 900 by default */
            expiresInSeconds?: number;
        };
        /**
         * @example {
         *       "code": "B7KM-2Q9R-WX4T-BN3C",
         *       "expiresAt": "2026-11-24T12:15:00.000Z"
         *     }
         */
        BypassAnswer: {
            /** @description For `POST /mfa/recovery`, once. It is shown only now */
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
         *       "passkeys": {
         *         "users": 2,
         *         "synced": 1
         *       },
         *       "warning": "Fewer than two administrators are enrolled. If one loses their authenticator, no one can help. Enroll another one."
         *     }
         */
        Stats: {
            /** @description All users but disabled ones. They are left out everywhere here */
            users: number;
            /** @description Have an authenticator */
            enrolled: number;
            /** @description The 1000 largest. A user in several counts in each */
            groups: {
                group: string;
                users: number;
                enrolled: number;
            }[];
            /** @description Locked after too many wrong codes */
            locked: number;
            /** @description Have at most three recovery codes left */
            codesRunningLow: number;
            /** @description The last 30 days (UTC), today at the end: how many of the enrolled users enrolled on that day */
            enrolledPerDay: {
                /** Format: date */
                day: string;
                enrolled: number;
            }[];
            /** @description Users who ever had an `mfa:` role */
            administrators: {
                enrolled: number;
                notEnrolled: number;
            };
            /** @description Users who have a passkey, and those who have one that lives on several devices */
            passkeys: {
                users: number;
                synced: number;
            };
            /** @description Fewer than two administrators are enrolled: one lost phone, and no one can administer */
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
            /** @description Who did it: a `userId`, `service:` and the subject of a machine, or `operator` */
            actorId: string | null;
            /** @description The name to show: their present account. Null if the user was erased */
            actor: string | null;
            /** @description The user it is about: a `userId`, or a machine */
            userId: string | null;
            /** @description The name to show, as in `actor` */
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
             * @example passkey.accepted
             * @example passkey.refused
             * @example passkey.suspected
             * @example recovery.accepted
             * @example recovery.refused
             * @example recovery.low
             * @example recovery.regenerated
             * @example bypass.issued
             * @example bypass.used
             * @example device.trusted
             * @example device.used
             * @example device.refused
             * @example device.removed
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
            /** @description `totp`, `passkey`, `recovery`, `bypass` (a code from an administrator), or `device` (a trusted one) */
            factorKind: string | null;
            /** @description Where it came from */
            address: string | null;
            /** @description As in `X-Request-Id` */
            requestId: string | null;
            /** @description More, depending on the action. Never a secret */
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
            /** @description Cursor of the next page. Null on the last one */
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
            /** @description How many events there are */
            events: number;
            /** @description The first event that does not fit */
            brokenAt?: {
                /** @description Place in the chain, from 1. Null if it is in none */
                position: number | null;
                /** @description Of the event. Null if nothing of it is left */
                id: string | null;
                at: string | null;
                /**
                 * @description `changed`: the event, or the order. `missing`. `added`: not by the service. `checkpoint`: what was signed up to here is gone, or does not open with the service's keys
                 * @enum {unknown}
                 */
                cause: "changed" | "missing" | "added" | "checkpoint";
            };
            /**
             * Format: date-time
             * @description Since when events wait to be chained. The service is stopped, or something keeps it from chaining. Until they are chained, nothing shows whether they were changed
             */
            waitingSince?: string;
        };
        /**
         * @description The audit event with the same `id` has the details.
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
        UndeliveredWebhookEvent: {
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
            /** @description The user it is about. Null if it is about the whole tenant */
            userId: string | null;
            /**
             * @description `waiting`: not tried yet. `retrying`: the last attempt failed. `parked`: no more attempts
             * @enum {unknown}
             */
            status: "waiting" | "retrying" | "parked";
            attempts: number;
            /** @description Why the last attempt failed */
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
        UndeliveredPage: {
            items: components["schemas"]["UndeliveredWebhookEvent"][];
            /** @description Cursor of the next page. Null on the last one */
            nextCursor: string | null;
        };
        WebhookEvent: {
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
                /** @description The user it is about. Null if it is about the whole tenant */
                userId: string | null;
                /** @description The issuer that `subject` belongs to */
                namespace: string | null;
                /** @description The user's `sub`. Null if it is about the whole tenant, or if the user was erased */
                subject: string | null;
                /** @description The name to show, such as an e-mail address. Null where `subject` is */
                account: string | null;
                /** @enum {unknown} */
                outcome: "success" | "failure";
                /** @description Who did it: a `userId`, `service:` and the subject of a machine, or `operator`. Null if no one in particular did */
                actorId: string | null;
                /** @description `totp`, `passkey`, `recovery` or `bypass` */
                factorKind: string | null;
                /** @description Where it came from */
                address: string | null;
                /** @description As in `X-Request-Id` */
                requestId: string | null;
                /** @description More, depending on the type. Never a secret */
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
             * @description `mfa`: only a factor of the user's own counts, whatever the policy says: not a recovery code, not the identity provider's MFA. `phr`: only a passkey
             * @enum {unknown}
             */
            acr?: "mfa" | "phr";
            /** @description How many seconds ago the second factor may have been. This also asks users who could pass without one */
            maxAge?: number;
        };
        ForwardAuthQuery: {
            /**
             * @description `mfa`: only a factor of the user's own counts, whatever the policy says: not a recovery code, not the identity provider's MFA. `phr`: only a passkey
             * @enum {unknown}
             */
            acr?: "mfa" | "phr";
            /** @description How many seconds ago the second factor may have been. This also asks users who could pass without one */
            maxAge?: number;
        };
        ListUsersQuery: {
            /** @description The user's `sub` */
            subject?: string;
            /** @description The whole account, in upper or lower case */
            account?: string;
            /** @description The issuer that the `sub` belongs to */
            namespace?: string;
            /**
             * @description `enrolled`, `not_enrolled`: with an authenticator, or without. `must_enroll`, `in_grace`, `exempt`: what the policy says now, for a typical session without a second factor. `locked`: too many wrong codes. `disabled`: disabled users. They appear in no other list
             * @enum {unknown}
             */
            status?: "enrolled" | "not_enrolled" | "must_enroll" | "in_grace" | "exempt" | "locked" | "disabled";
            /** @description A group that the user is in */
            group?: string;
            /**
             * @description Users who have one of this kind, or no factor
             * @enum {unknown}
             */
            factor?: "totp" | "passkey" | "none";
            /**
             * Format: date-time
             * @description RFC 3339. Users who must enroll before this time, or must already
             */
            deadlineBefore?: string;
            /** @description The `nextCursor` of the previous page */
            cursor?: string;
            /** @description How many, from 1 to 100. 50 by default */
            limit?: number;
        };
        ListAuditEventsQuery: {
            /** @description The `userId` it is about */
            userId?: string;
            /** @description The `sub` of the user it is about. Finds the users who have it now */
            subject?: string;
            /** @description Who did it */
            actorId?: string;
            /**
             * @description What was done
             * @enum {unknown}
             */
            action?: "factor.started" | "factor.confirmed" | "factor.renamed" | "factor.removed" | "totp.accepted" | "totp.refused" | "totp.locked" | "passkey.accepted" | "passkey.refused" | "passkey.suspected" | "recovery.accepted" | "recovery.refused" | "recovery.low" | "recovery.regenerated" | "bypass.issued" | "bypass.used" | "device.trusted" | "device.used" | "device.refused" | "device.removed" | "session.ended" | "user.unlocked" | "user.reset" | "user.signed_out" | "user.exempted" | "user.grace_set" | "user.disabled" | "user.enabled" | "user.erased" | "users.synced" | "policy.changed" | "access.refused" | "secret.unreadable" | "key.rotated" | "spray.suspected" | "guessing.suspected" | "policy.would_enroll" | "notice.retried";
            /**
             * Format: date-time
             * @description RFC 3339
             */
            from?: string;
            /**
             * Format: date-time
             * @description RFC 3339. Before this time
             */
            to?: string;
            /** @description The `nextCursor` of the previous page */
            cursor?: string;
            /** @description How many, from 1 to 100. 50 by default */
            limit?: number;
        };
        ListUndeliveredWebhookEventsQuery: {
            /** @description The `nextCursor` of the previous page */
            cursor?: string;
            /** @description How many, from 1 to 100. 50 by default */
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
export type PasskeyRequest = components['schemas']['PasskeyRequest'];
export type PasskeyAnswer = components['schemas']['PasskeyAnswer'];
export type PasskeyConfirmRequest = components['schemas']['PasskeyConfirmRequest'];
export type PasskeyConfirmAnswer = components['schemas']['PasskeyConfirmAnswer'];
export type PasskeyChallengeRequest = components['schemas']['PasskeyChallengeRequest'];
export type PasskeyChallenge = components['schemas']['PasskeyChallenge'];
export type PasskeyVerifyRequest = components['schemas']['PasskeyVerifyRequest'];
export type PasskeyVerifyAnswer = components['schemas']['PasskeyVerifyAnswer'];
export type RecoverRequest = components['schemas']['RecoverRequest'];
export type RecoverAnswer = components['schemas']['RecoverAnswer'];
export type RecoveryStatus = components['schemas']['RecoveryStatus'];
export type NewRecoveryCodes = components['schemas']['NewRecoveryCodes'];
export type TokenRequest = components['schemas']['TokenRequest'];
export type SessionToken = components['schemas']['SessionToken'];
export type FactorList = components['schemas']['FactorList'];
export type RenameRequest = components['schemas']['RenameRequest'];
export type TokenAnswer = components['schemas']['TokenAnswer'];
export type TrustRequest = components['schemas']['TrustRequest'];
export type NewDevice = components['schemas']['NewDevice'];
export type DeviceUse = components['schemas']['DeviceUse'];
export type LiftedToken = components['schemas']['LiftedToken'];
export type Device = components['schemas']['Device'];
export type DeviceList = components['schemas']['DeviceList'];
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
export type UserAction = components['schemas']['UserAction'];
export type ResetRequest = components['schemas']['ResetRequest'];
export type BypassRequest = components['schemas']['BypassRequest'];
export type BypassAnswer = components['schemas']['BypassAnswer'];
export type Stats = components['schemas']['Stats'];
export type AuditEvent = components['schemas']['AuditEvent'];
export type AuditPage = components['schemas']['AuditPage'];
export type AuditVerdict = components['schemas']['AuditVerdict'];
export type UndeliveredWebhookEvent = components['schemas']['UndeliveredWebhookEvent'];
export type UndeliveredPage = components['schemas']['UndeliveredPage'];
export type WebhookEvent = components['schemas']['WebhookEvent'];
export type JwkSet = components['schemas']['JwkSet'];
export type Health = components['schemas']['Health'];
export type AuthorizeQuery = components['schemas']['AuthorizeQuery'];
export type ForwardAuthQuery = components['schemas']['ForwardAuthQuery'];
export type ListUsersQuery = components['schemas']['ListUsersQuery'];
export type ListAuditEventsQuery = components['schemas']['ListAuditEventsQuery'];
export type ListUndeliveredWebhookEventsQuery = components['schemas']['ListUndeliveredWebhookEventsQuery'];
