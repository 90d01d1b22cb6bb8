import t from 'tap'
import {
  boolean,
  choice,
  cidrs,
  ConfigError,
  hosts,
  integer,
  integers,
  isLoopback,
  list,
  names,
  origins,
  type Reader,
  secret,
  text,
  url
} from '../../src/config/readers.ts'

/** Each is refused by an error that names the variable and never the value. */
function refuses (t: { throws: any, notOk: any }, read: Reader<unknown>, values: string[]): void {
  for (const value of values) {
    try {
      read('NAME', value)
      t.notOk(true, `refuses ${JSON.stringify(value)}`)
    } catch (error) {
      t.notOk(!(error instanceof ConfigError) || !/^NAME [a-z][^\n]*$/.test(error.message), `names the variable: ${JSON.stringify(value)}`)
      t.notOk(value.trim().length > 5 && (error as Error).message.includes(value.trim()), 'and never the value')
    }
  }
}

t.test('whole numbers are digits within their bounds', async t => {
  const read = integer(1, 65535)
  t.equal(read('NAME', '8080'), 8080)
  refuses(t, read, ['0', '65536', '-1', '+80', '80.0', '8e1', '0x50', ' 80', '80 ', '1_000', '٨٠', 'NaN', 'Infinity', ''])
  refuses(t, read, ['9'.repeat(400)])
  t.same(integers(0, 3600)('NAME', '0, 0,30'), [0, 0, 30])
  refuses(t, integers(0, 3600), ['0,,30', '0,30,', '3601', '0;30', 'a'])
})

t.test('what is on or off says so', async t => {
  for (const value of ['true', 'on', '1']) t.equal(boolean('NAME', value), true)
  for (const value of ['false', 'off', '0']) t.equal(boolean('NAME', value), false)
  refuses(t, boolean, ['TRUE', 'yes', 'no', '2', 'enabled', ' true'])
})

t.test('a choice is one of the words, in their case', async t => {
  t.equal(choice('a', 'b')('NAME', 'a'), 'a')
  refuses(t, choice('alpha', 'beta'), ['ALPHA', 'gamma', 'alpha ', 'a', 'toString', '__proto__'])
  t.same(list(choice('a', 'b'))('NAME', 'a, b'), ['a', 'b'])
  refuses(t, list(choice('a', 'b')), ['a,', ',a', 'a b', 'a,gamma'])
})

t.test('text has no control characters, no white space at its ends and a bound', async t => {
  t.equal(text(20)('NAME', 'Headless MFA é'), 'Headless MFA é')
  refuses(t, text(20), [' leading', 'trailing ', 'line\nbreak', 'nul\u0000', 'del\u007f', 'x'.repeat(21)])
})

t.test('names are each there once', async t => {
  t.same(names('NAME', ''), [])
  t.same(names('NAME', 'billing, wiki'), ['billing', 'wiki'])
  refuses(t, names, ['billing,billing', 'billing,', ',', 'bill\ning'])
})

t.test('a secret has enough bytes', async t => {
  const good = 'J8f2kQ9xLm4vRt7wZc1bNp6sHd3gYa5e'
  t.equal(secret(32)('NAME', good), good)
  refuses(t, secret(32), [good.slice(1), ''])
})

t.test('a URL has an allowed scheme; http is for loopback alone, where it is allowed at all', async t => {
  const read = url(['https:'], { isLoopbackHttpAllowed: true })
  for (
    const value of [
      'https://id.test/jwks',
      'http://localhost:8080/jwks',
      'http://127.0.0.1/jwks',
      'http://127.1.2.3/jwks',
      'http://[::1]:80/jwks'
    ]
  ) t.equal(read('NAME', value), value)
  refuses(t, read, [
    'http://id.test/jwks',
    'http://10.0.0.1/jwks',
    'http://192.168.1.1/jwks',
    'http://169.254.169.254/latest',
    'http://localhost.evil.test/jwks',
    'http://127.0.0.1.evil.test/jwks',
    'http://[::ffff:10.0.0.1]/',
    'ftp://id.test/jwks',
    'file:///etc/passwd',
    'data:application/json,{}',
    'javascript:0',
    '//id.test',
    'id.test',
    ''
  ])
  refuses(t, url(['https:']), ['http://localhost/jwks'])
  t.equal(isLoopback('localhost.'), false)
})

t.test('an origin is exact: scheme, host and port', async t => {
  t.same(origins('NAME', ''), [])
  t.same(origins('NAME', 'https://app.test, http://localhost:5173'), ['https://app.test', 'http://localhost:5173'])
  t.same(origins('NAME', 'capacitor://localhost,ionic://localhost,tauri://localhost:1430'), [
    'capacitor://localhost',
    'ionic://localhost',
    'tauri://localhost:1430'
  ], 'apps in a WebView')
  refuses(t, origins, [
    'capacitor://localhost/',
    'capacitor:localhost',
    'capacitor://user@localhost',
    'capacitor://*',
    '*',
    'null',
    'https://app.test/',
    'https://app.test/path',
    'https://*.app.test',
    'https://app.test:443',
    'HTTPS://app.test',
    'https://App.test',
    'app.test',
    'https://user@app.test',
    'https://a.test,,https://b.test',
    'https://app.test?x',
    'file://x',
    'data:x'
  ])
})

t.test('a host is exact: in lower case, with a port only where it is not the usual one', async t => {
  t.same(hosts('NAME', ''), [])
  t.same(hosts('NAME', 'app.test, app.test:8443,[::1]:8443'), ['app.test', 'app.test:8443', '[::1]:8443'])
  refuses(t, hosts, [
    '*',
    '*.app.test',
    'App.test',
    'app.test:443',
    'https://app.test',
    'app.test/path',
    'user@app.test',
    'app test',
    'app.test,',
    ',app.test',
    'app.test:99999'
  ])
})

t.test('trusted proxies are ranges: not everyone, and none that matches something else than it seems to', async t => {
  t.same(cidrs('NAME', ''), [])
  t.same(cidrs('NAME', '10.0.0.0/8, fd00::/8,192.0.2.1/32'), ['10.0.0.0/8', 'fd00::/8', '192.0.2.1/32'])
  refuses(t, cidrs, [
    '0.0.0.0/0',
    '::/0',
    '0.0.0.0/00',
    '10.9.0.0',
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0.0/8/8',
    '10.0.0/8',
    '010.0.0.0/8',
    '0x0a.0.0.0/8',
    '::ffff:10.0.0.0/104',
    '::FFFF:10.0.0.0/104',
    '0:0:0:0:0:ffff:a00:0/104',
    'fd00::/129',
    'true',
    '*',
    'loopback',
    '1',
    '10.0.0.0/8,',
    'proxy.test/8'
  ])
})
