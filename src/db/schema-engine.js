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
exports.withSchemaEngine = withSchemaEngine;
exports.withOfflineSchemaEngine = withOfflineSchemaEngine;
var promises_1 = require("node:fs/promises");
var node_url_1 = require("node:url");
var pg_1 = require("pg");
var adapter_pg_1 = require("@prisma/adapter-pg");
var driver_adapter_utils_1 = require("@prisma/driver-adapter-utils");
/**
 * Lends Prisma's schema engine as WebAssembly (the same code as the native binary that the CLI would download, but from
 * npm) to `use`, connected to `databaseUrl`; its connections end with it.
 */
function withSchemaEngine(databaseUrl, use) {
    return __awaiter(this, void 0, void 0, function () {
        var pool;
        var _this = this;
        return __generator(this, function (_a) {
            switch (_a.label) {
                case 0:
                    pool = new pg_1.default.Pool({ connectionString: databaseUrl, connectionTimeoutMillis: 10000 });
                    pool.on('error', function () { }); // an idle connection that is lost shows in the next statement
                    _a.label = 1;
                case 1:
                    _a.trys.push([1, , 3, 5]);
                    return [4 /*yield*/, lend(function () { return __awaiter(_this, void 0, void 0, function () { var _a; return __generator(this, function (_b) {
                            switch (_b.label) {
                                case 0:
                                    _a = sendingScriptsWhole;
                                    return [4 /*yield*/, new adapter_pg_1.PrismaPg(pool).connect()];
                                case 1: return [2 /*return*/, _a.apply(void 0, [_b.sent()])];
                            }
                        }); }); }, use)];
                case 2: return [2 /*return*/, _a.sent()];
                case 3: return [4 /*yield*/, pool.end()];
                case 4:
                    _a.sent();
                    return [7 /*endfinally*/];
                case 5: return [2 /*return*/];
            }
        });
    });
}
/**
 * The same, for comparing datamodels. The engine always opens a connection, to ask for the server's version and whether
 * the schema exists; it is content with no answer, so this needs no server.
 */
function withOfflineSchemaEngine(use) {
    return __awaiter(this, void 0, void 0, function () {
        var unanswering;
        var _this = this;
        return __generator(this, function (_a) {
            switch (_a.label) {
                case 0:
                    unanswering = {
                        provider: 'postgres',
                        adapterName: '@prisma/adapter-pg',
                        queryRaw: function () { return __awaiter(_this, void 0, void 0, function () { return __generator(this, function (_a) {
                            return [2 /*return*/, ({ columnNames: [], columnTypes: [], rows: [] })];
                        }); }); },
                        executeRaw: function () { return __awaiter(_this, void 0, void 0, function () { return __generator(this, function (_a) {
                            return [2 /*return*/, 0];
                        }); }); },
                        executeScript: function () { return __awaiter(_this, void 0, void 0, function () { return __generator(this, function (_a) {
                            return [2 /*return*/];
                        }); }); },
                        startTransaction: function () { return __awaiter(_this, void 0, void 0, function () { return __generator(this, function (_a) {
                            throw new Error('There is no database here.');
                        }); }); },
                        dispose: function () { return __awaiter(_this, void 0, void 0, function () { return __generator(this, function (_a) {
                            return [2 /*return*/];
                        }); }); }
                    };
                    return [4 /*yield*/, lend(function () { return __awaiter(_this, void 0, void 0, function () { return __generator(this, function (_a) {
                            return [2 /*return*/, unanswering];
                        }); }); }, use)];
                case 1: return [2 /*return*/, _a.sent()];
            }
        });
    });
}
function lend(connect, use) {
    return __awaiter(this, void 0, void 0, function () {
        var SchemaEngine, engine;
        return __generator(this, function (_a) {
            switch (_a.label) {
                case 0: return [4 /*yield*/, (loaded !== null && loaded !== void 0 ? loaded : (loaded = load()))];
                case 1:
                    SchemaEngine = (_a.sent()).SchemaEngine;
                    return [4 /*yield*/, SchemaEngine.new({ datamodels: [['schema.prisma', 'datasource db { provider = "postgresql" }']] }, function ignoreLog() { }, // it repeats what the errors say
                        (0, driver_adapter_utils_1.bindMigrationAwareSqlAdapterFactory)({
                            provider: 'postgres', adapterName: '@prisma/adapter-pg',
                            connect: connect,
                            connectToShadowDb: connect
                        }))];
                case 2:
                    engine = _a.sent();
                    _a.label = 3;
                case 3:
                    _a.trys.push([3, , 5, 6]);
                    return [4 /*yield*/, use(engine)];
                case 4: return [2 /*return*/, _a.sent()];
                case 5:
                    engine.free();
                    return [7 /*endfinally*/];
                case 6: return [2 /*return*/];
            }
        });
    });
}
var loaded;
/** The package's own entry imports the .wasm as a module, which Node does not do without a flag; so by hand. */
function load() {
    return __awaiter(this, void 0, void 0, function () {
        var glue, glueFile, instance, _a, _b;
        return __generator(this, function (_c) {
            switch (_c.label) {
                case 0: return [4 /*yield*/, Promise.resolve().then(function () { return require('@prisma/schema-engine-wasm/schema_engine_bg'); })];
                case 1:
                    glue = _c.sent();
                    glueFile = (0, node_url_1.fileURLToPath)(import.meta.resolve('@prisma/schema-engine-wasm/schema_engine_bg'));
                    _b = (_a = WebAssembly).instantiate;
                    return [4 /*yield*/, (0, promises_1.readFile)(glueFile.replace(/\.js$/, '.wasm'))];
                case 2: return [4 /*yield*/, _b.apply(_a, [_c.sent(), { './schema_engine_bg.js': withIdleTimers(glue) }])];
                case 3:
                    instance = (_c.sent()).instance;
                    glue.__wbg_set_wasm(instance.exports);
                    instance.exports.__wbindgen_start();
                    return [2 /*return*/, glue];
            }
        });
    });
}
/** The engine limits its wait for a lock to 10 s and forgets that timer; it must not keep a finished process for so long. */
function withIdleTimers(glue) {
    var imports = Object.entries(glue);
    return Object.fromEntries(imports.map(function (_a) {
        var name = _a[0], implementation = _a[1];
        return [name, !name.startsWith('__wbg_setTimeout_')
                ? implementation
                : function () {
                    var args = [];
                    for (var _i = 0; _i < arguments.length; _i++) {
                        args[_i] = arguments[_i];
                    }
                    return implementation.apply(void 0, args).unref();
                }];
    }));
}
/**
 * PrismaPg cuts a script at every `;`, so also inside the body of a function, and commits piece by piece. Whole and
 * without arguments it is one simple query, as the native engine sends it: all of it happens, or nothing.
 */
function sendingScriptsWhole(adapter) {
    var _this = this;
    adapter.executeScript = function (script) { return __awaiter(_this, void 0, void 0, function () {
        return __generator(this, function (_a) {
            switch (_a.label) {
                case 0: return [4 /*yield*/, adapter.executeRaw({ sql: script, args: [], argTypes: [] })];
                case 1:
                    _a.sent();
                    return [2 /*return*/];
            }
        });
    }); };
    return adapter;
}
