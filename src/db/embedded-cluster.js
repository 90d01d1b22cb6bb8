"use strict";
var __assign = (this && this.__assign) || function () {
    __assign = Object.assign || function(t) {
        for (var s, i = 1, n = arguments.length; i < n; i++) {
            s = arguments[i];
            for (var p in s) if (Object.prototype.hasOwnProperty.call(s, p))
                t[p] = s[p];
        }
        return t;
    };
    return __assign.apply(this, arguments);
};
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
var __spreadArray = (this && this.__spreadArray) || function (to, from, pack) {
    if (pack || arguments.length === 2) for (var i = 0, l = from.length, ar; i < l; i++) {
        if (ar || !(i in from)) {
            if (!ar) ar = Array.prototype.slice.call(from, 0, i);
            ar[i] = from[i];
        }
    }
    return to.concat(ar || Array.prototype.slice.call(from));
};
Object.defineProperty(exports, "__esModule", { value: true });
exports.initialise = initialise;
exports.launch = launch;
exports.readPostmaster = readPostmaster;
exports.registerUse = registerUse;
var node_child_process_1 = require("node:child_process");
var node_crypto_1 = require("node:crypto");
var node_fs_1 = require("node:fs");
var node_path_1 = require("node:path");
var node_util_1 = require("node:util");
/** PGDATA, PGOPTIONS and their like are none of this server's business. */
var env = { PATH: process.env.PATH, LC_ALL: 'C' };
/**
 * Makes the cluster if there is none. It is made under a name of this process and then renamed, so that a crash leaves
 * nothing half made and two processes end up with the same one.
 */
function initialise(place, isPersistent) {
    return __awaiter(this, void 0, void 0, function () {
        var dir, uid, serverUid;
        var _a, _b, _c, _d;
        return __generator(this, function (_e) {
            switch (_e.label) {
                case 0:
                    dir = (0, node_path_1.join)(place.dataDir, 'pgdata');
                    if (!!(0, node_fs_1.existsSync)(dir)) return [3 /*break*/, 2];
                    return [4 /*yield*/, make(place, dir, isPersistent)];
                case 1:
                    _e.sent();
                    _e.label = 2;
                case 2:
                    uid = (0, node_fs_1.statSync)(dir).uid;
                    serverUid = (_d = (_b = (_a = place.owner) === null || _a === void 0 ? void 0 : _a.uid) !== null && _b !== void 0 ? _b : (_c = process.getuid) === null || _c === void 0 ? void 0 : _c.call(process)) !== null && _d !== void 0 ? _d : uid;
                    if (uid !== serverUid)
                        throw new Error("".concat(dir, " belongs to uid ").concat(uid, ", and this process runs PostgreSQL as ").concat(serverUid, "."));
                    return [2 /*return*/, __assign(__assign({}, place), { dir: dir, logFile: (0, node_path_1.join)(place.dataDir, 'server.log'), password: (0, node_fs_1.readFileSync)((0, node_path_1.join)(dir, 'password'), 'utf8') })];
            }
        });
    });
}
function make(place, dir, isPersistent) {
    return __awaiter(this, void 0, void 0, function () {
        var _i, _a, name_1, pid, half, passwordFile, _b, _c, path;
        var _d;
        return __generator(this, function (_e) {
            switch (_e.label) {
                case 0:
                    for (_i = 0, _a = (0, node_fs_1.readdirSync)(place.dataDir); _i < _a.length; _i++) {
                        name_1 = _a[_i];
                        pid = (_d = /^pgdata\.(\d+)/.exec(name_1)) === null || _d === void 0 ? void 0 : _d[1];
                        if (pid && !isAlive(Number(pid)))
                            (0, node_fs_1.rmSync)((0, node_path_1.join)(place.dataDir, name_1), { recursive: true, force: true });
                    }
                    half = "".concat(dir, ".").concat(process.pid);
                    passwordFile = "".concat(half, ".password");
                    (0, node_fs_1.mkdirSync)(half, { mode: 448 });
                    (0, node_fs_1.writeFileSync)(passwordFile, (0, node_crypto_1.randomBytes)(24).toString('base64url'), { mode: 384 });
                    if (place.owner)
                        for (_b = 0, _c = [half, passwordFile]; _b < _c.length; _b++) {
                            path = _c[_b];
                            (0, node_fs_1.chownSync)(path, place.owner.uid, place.owner.gid);
                        }
                    return [4 /*yield*/, (0, node_util_1.promisify)(node_child_process_1.execFile)((0, node_path_1.join)(place.binDir, 'initdb'), __spreadArray([
                            "--pgdata=".concat(half),
                            '--username=postgres', '--auth=scram-sha-256',
                            "--pwfile=".concat(passwordFile),
                            '--encoding=UTF8',
                            // PostgreSQL's own C.UTF-8, as not every system has one
                            '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8',
                            '--no-instructions'
                        ], (isPersistent ? [] : ['--no-sync']), true), __assign(__assign({}, place.owner), { cwd: '/', env: env }))];
                case 1:
                    _e.sent();
                    (0, node_fs_1.renameSync)(passwordFile, (0, node_path_1.join)(half, 'password'));
                    try {
                        (0, node_fs_1.renameSync)(half, dir);
                    }
                    catch (error) {
                        (0, node_fs_1.rmSync)(half, { recursive: true });
                        if (!(0, node_fs_1.existsSync)(dir))
                            throw error; // else another process was faster
                    }
                    return [2 /*return*/];
            }
        });
    });
}
/** Starts the server in a session of its own, so that a Ctrl-C reaches it through `stop` and after the application. */
function launch(cluster, port, settings) {
    var log = (0, node_fs_1.openSync)(cluster.logFile, 'w');
    var all = __assign({ listen_addresses: '127.0.0.1', unix_socket_directories: '' }, settings);
    var child = (0, node_child_process_1.spawn)((0, node_path_1.join)(cluster.binDir, 'postgres'), __spreadArray([
        '-D', cluster.dir, '-p', String(port)
    ], Object.entries(all).flatMap(function (_a) {
        var name = _a[0], value = _a[1];
        return ['-c', "".concat(name, "=").concat(value)];
    }), true), __assign(__assign({}, cluster.owner), { cwd: '/', env: env, detached: true, stdio: ['ignore', log, log] }));
    (0, node_fs_1.closeSync)(log);
    var spawnError;
    child.once('error', function (error) { spawnError = error; });
    child.unref();
    return {
        hasExited: function () { return spawnError !== undefined || child.exitCode !== null || child.signalCode !== null; },
        lastWords: function () { var _a; return (_a = spawnError === null || spawnError === void 0 ? void 0 : spawnError.message) !== null && _a !== void 0 ? _a : (0, node_fs_1.readFileSync)(cluster.logFile, 'utf8').slice(-2000); }
    };
}
/** What postmaster.pid says, if the process that it names lives. */
function readPostmaster(cluster) {
    var _a;
    var file = (0, node_path_1.join)(cluster.dir, 'postmaster.pid');
    var lines;
    try {
        lines = (0, node_fs_1.readFileSync)(file, 'utf8').split('\n');
    }
    catch (_b) {
        return undefined;
    }
    var pid = Number(lines[0]);
    if (!pid || !isAlive(pid))
        return undefined;
    if (isElsewhere(pid, cluster.dir)) {
        // After a crash its number was given to another process. PostgreSQL would take that one for a running server.
        (0, node_fs_1.rmSync)(file, { force: true });
        return undefined;
    }
    return { pid: pid, port: Number(lines[3]), isReady: ((_a = lines[7]) === null || _a === void 0 ? void 0 : _a.trim()) === 'ready' };
}
/**
 * A server's working directory is its cluster; a zombie has none. Where /proc does not say (no permission, or macOS), it
 * counts as the server, which at worst means waiting in vain, never two servers on the same files.
 */
function isElsewhere(pid, dir) {
    try {
        return (0, node_fs_1.readlinkSync)("/proc/".concat(pid, "/cwd")) !== (0, node_fs_1.realpathSync)(dir);
    }
    catch (error) {
        return process.platform === 'linux' && error.code === 'ENOENT';
    }
}
function isAlive(pid) {
    try {
        process.kill(pid, 0);
        return true;
    }
    catch (error) {
        return error.code === 'EPERM';
    }
}
/** Notes that this process uses the cluster. `end` unnotes it and tells whether it was the last one. */
function registerUse(cluster) {
    var dir = (0, node_path_1.join)(cluster.dataDir, 'users');
    var mine = (0, node_path_1.join)(dir, "".concat(process.pid, ".").concat((0, node_crypto_1.randomBytes)(4).toString('hex')));
    (0, node_fs_1.mkdirSync)(dir, { recursive: true });
    (0, node_fs_1.writeFileSync)(mine, '');
    return {
        end: function () {
            (0, node_fs_1.rmSync)(mine, { force: true });
            var users = (0, node_fs_1.readdirSync)(dir);
            var gone = users.filter(function (name) { return !isAlive(Number.parseInt(name, 10)); });
            for (var _i = 0, gone_1 = gone; _i < gone_1.length; _i++) {
                var name_2 = gone_1[_i];
                (0, node_fs_1.rmSync)((0, node_path_1.join)(dir, name_2), { force: true });
            } // killed before they could
            return users.length === gone.length;
        }
    };
}
