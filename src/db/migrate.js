"use strict";
var __awaiter = (this && this.__awaiter) || function (thisArg, _arguments, P, generator) {
    function adopt(value) { return value instanceof P ? value : new P(function (resolve) { resolve(value); }); }
    return new (P || (P = Promise))(function (resolve, reject) {
        function fulfilled(value) { try { step(generator.next(value)); } catch (e) { reject(e); } }
        function rejected(value) { try { step(generator["throw"](value)); } catch (e) { reject(e); } }
        function step(result) { result.done ? resolve(result.value) : adopt(result.value).then(fulfilled, rejected); }
        step((generator = generator.apply(thisArg, _arguments || [])).next());
    });
};
var __generator = (this && this.__generator) || function (thisArg, body) {
    var _ = { label: 0, sent: function() { if (t[0] & 1) throw t[1]; return t[1]; }, trys: [], ops: [] }, f, y, t, g = Object.create((typeof Iterator === "function" ? Iterator : Object).prototype);
    return g.next = verb(0), g["throw"] = verb(1), g["return"] = verb(2), typeof Symbol === "function" && (g[Symbol.iterator] = function() { return this; }), g;
    function verb(n) { return function (v) { return step([n, v]); }; }
    function step(op) {
        if (f) throw new TypeError("Generator is already executing.");
        while (g && (g = 0, op[0] && (_ = 0)), _) try {
            if (f = 1, y && (t = op[0] & 2 ? y["return"] : op[0] ? y["throw"] || ((t = y["return"]) && t.call(y), 0) : y.next) && !(t = t.call(y, op[1])).done) return t;
            if (y = 0, t) op = [op[0] & 2, t.value];
            switch (op[0]) {
                case 0: case 1: t = op; break;
                case 4: _.label++; return { value: op[1], done: false };
                case 5: _.label++; y = op[1]; op = [0]; continue;
                case 7: op = _.ops.pop(); _.trys.pop(); continue;
                default:
                    if (!(t = _.trys, t = t.length > 0 && t[t.length - 1]) && (op[0] === 6 || op[0] === 2)) { _ = 0; continue; }
                    if (op[0] === 3 && (!t || (op[1] > t[0] && op[1] < t[3]))) { _.label = op[1]; break; }
                    if (op[0] === 6 && _.label < t[1]) { _.label = t[1]; t = op; break; }
                    if (t && _.label < t[2]) { _.label = t[2]; _.ops.push(op); break; }
                    if (t[2]) _.ops.pop();
                    _.trys.pop(); continue;
            }
            op = body.call(thisArg, _);
        } catch (e) { op = [6, e]; y = 0; } finally { f = t = 0; }
        if (op[0] & 5) throw op[1]; return { value: op[0] ? op[1] : void 0, done: true };
    }
};
Object.defineProperty(exports, "__esModule", { value: true });
exports.prismaDir = void 0;
exports.applyMigrations = applyMigrations;
exports.markRolledBack = markRolledBack;
exports.diffSql = diffSql;
var promises_1 = require("node:fs/promises");
var node_path_1 = require("node:path");
var promises_2 = require("node:timers/promises");
var node_url_1 = require("node:url");
var pg_1 = require("pg");
var schema_engine_ts_1 = require("./schema-engine.ts");
/** The package's prisma/ folder: two levels up both from src/db (tsx) and from dist/db (compiled). */
exports.prismaDir = (0, node_url_1.fileURLToPath)(new URL('../../prisma/', import.meta.url));
var noFilters = { externalTables: [], externalEnums: [] };
/** Any number, but always this one: processes that migrate the same database take turns by it. */
var lockKey = 7366041204;
/**
 * Applies what `prisma migrate deploy` would, in name order, recording it in `_prisma_migrations`, and returns the names
 * applied (none: it was up to date). Several processes may call it at once: they queue on an advisory lock, which needs a
 * direct connection or a pooler in session mode. Throws an error that names the migration when one fails; that one left
 * nothing behind (unless it contains COMMIT), but the next deploy refuses until `markRolledBack`.
 */
function applyMigrations(databaseUrl_1) {
    return __awaiter(this, arguments, void 0, function (databaseUrl, migrationsDir) {
        var migrationsList;
        var _this = this;
        if (migrationsDir === void 0) { migrationsDir = (0, node_path_1.join)(exports.prismaDir, 'migrations'); }
        return __generator(this, function (_a) {
            switch (_a.label) {
                case 0: return [4 /*yield*/, listMigrations(migrationsDir)];
                case 1:
                    migrationsList = _a.sent();
                    return [4 /*yield*/, holdingLock(databaseUrl, function () { return (0, schema_engine_ts_1.withSchemaEngine)(databaseUrl, function (engine) { return __awaiter(_this, void 0, void 0, function () {
                            var input, appliedMigrationNames;
                            return __generator(this, function (_a) {
                                switch (_a.label) {
                                    case 0:
                                        input = { migrationsList: migrationsList, filters: noFilters };
                                        return [4 /*yield*/, engine.applyMigrations(input).catch(function (error) { throw legible(error); })];
                                    case 1:
                                        appliedMigrationNames = (_a.sent()).appliedMigrationNames;
                                        return [2 /*return*/, appliedMigrationNames];
                                }
                            });
                        }); }); })];
                case 2: return [2 /*return*/, _a.sent()];
            }
        });
    });
}
/** The engine names the migration only in its trace, which is of no use to whoever reads the error. */
function legible(error) {
    var _a;
    var name = (_a = /migration_name="([^"]+)"/.exec(error.message)) === null || _a === void 0 ? void 0 : _a[1];
    var reason = error.message.split(/^ +0: /m)[0];
    return name ? new Error("Migration ".concat(name, " failed: ").concat(reason === null || reason === void 0 ? void 0 : reason.trim()), { cause: error }) : error;
}
/** After a failed migration was looked at (and its file perhaps corrected): lets the next `applyMigrations` try it again. */
function markRolledBack(databaseUrl, migrationName) {
    return __awaiter(this, void 0, void 0, function () {
        return __generator(this, function (_a) {
            switch (_a.label) {
                case 0: return [4 /*yield*/, holdingLock(databaseUrl, function () { return (0, schema_engine_ts_1.withSchemaEngine)(databaseUrl, function (engine) {
                        return engine.markMigrationRolledBack({ migrationName: migrationName });
                    }); })];
                case 1:
                    _a.sent();
                    return [2 /*return*/];
            }
        });
    });
}
/** The SQL that leads from one datamodel (the text of a schema.prisma, or 'empty') to another. No database is asked. */
function diffSql(_a) {
    return __awaiter(this, arguments, void 0, function (_b) {
        var target;
        var _this = this;
        var from = _b.from, to = _b.to;
        return __generator(this, function (_c) {
            switch (_c.label) {
                case 0:
                    target = function (content) { return content === 'empty'
                        ? { tag: 'empty' }
                        : { tag: 'schemaDatamodel', files: [{ path: 'schema.prisma', content: content }] }; };
                    return [4 /*yield*/, (0, schema_engine_ts_1.withOfflineSchemaEngine)(function (engine) { return __awaiter(_this, void 0, void 0, function () {
                            var params;
                            var _a;
                            return __generator(this, function (_b) {
                                switch (_b.label) {
                                    case 0:
                                        params = { from: target(from), to: target(to), script: true, exitCode: null, filters: noFilters };
                                        return [4 /*yield*/, engine.diff(params)];
                                    case 1: return [2 /*return*/, (_a = (_b.sent()).stdout) !== null && _a !== void 0 ? _a : ''];
                                }
                            });
                        }); })];
                case 1: return [2 /*return*/, _c.sent()];
            }
        });
    });
}
/** Only folders count, and of each only its migration.sql: what else lies beside them is for people and for migrate:new. */
function listMigrations(baseDir) {
    return __awaiter(this, void 0, void 0, function () {
        var entries, names, migrationDirectories, lockfile;
        var _a;
        var _this = this;
        return __generator(this, function (_b) {
            switch (_b.label) {
                case 0: return [4 /*yield*/, (0, promises_1.readdir)(baseDir, { withFileTypes: true })];
                case 1:
                    entries = _b.sent();
                    names = entries.filter(function (entry) { return entry.isDirectory(); }).map(function (entry) { return entry.name; }).sort();
                    return [4 /*yield*/, Promise.all(names.map(function (path) { return __awaiter(_this, void 0, void 0, function () {
                            var value;
                            return __generator(this, function (_a) {
                                switch (_a.label) {
                                    case 0: return [4 /*yield*/, (0, promises_1.readFile)((0, node_path_1.join)(baseDir, path, 'migration.sql'), 'utf8')];
                                    case 1:
                                        value = _a.sent();
                                        return [2 /*return*/, { path: path, migrationFile: { path: 'migration.sql', content: { tag: 'ok', value: value } } }];
                                }
                            });
                        }); }))];
                case 2:
                    migrationDirectories = _b.sent();
                    _a = { path: 'migration_lock.toml' };
                    return [4 /*yield*/, (0, promises_1.readFile)((0, node_path_1.join)(baseDir, 'migration_lock.toml'), 'utf8')];
                case 3:
                    lockfile = (_a.content = _b.sent(), _a);
                    return [2 /*return*/, { baseDir: baseDir, lockfile: lockfile, shadowDbInitScript: '', migrationDirectories: migrationDirectories }];
            }
        });
    });
}
/** The lock is the session's: if this process dies, PostgreSQL gives it to the next one. */
function holdingLock(databaseUrl, work) {
    return __awaiter(this, void 0, void 0, function () {
        var client;
        return __generator(this, function (_a) {
            switch (_a.label) {
                case 0:
                    client = new pg_1.default.Client({ connectionString: databaseUrl, connectionTimeoutMillis: 10000 });
                    client.on('error', function () { }); // a lost connection shows in the engine's, which does the work
                    return [4 /*yield*/, client.connect()];
                case 1:
                    _a.sent();
                    _a.label = 2;
                case 2:
                    _a.trys.push([2, , 8, 10]);
                    _a.label = 3;
                case 3: return [4 /*yield*/, client.query('SELECT pg_try_advisory_lock($1) AS held', [lockKey])];
                case 4:
                    if (!!(_a.sent()).rows[0].held) return [3 /*break*/, 6];
                    return [4 /*yield*/, (0, promises_2.setTimeout)(100)];
                case 5:
                    _a.sent();
                    return [3 /*break*/, 3];
                case 6: return [4 /*yield*/, work()];
                case 7: return [2 /*return*/, _a.sent()];
                case 8: return [4 /*yield*/, client.end()];
                case 9:
                    _a.sent();
                    return [7 /*endfinally*/];
                case 10: return [2 /*return*/];
            }
        });
    });
}
