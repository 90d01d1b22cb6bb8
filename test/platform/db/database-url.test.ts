import t from 'tap'
import { readDatabaseUrl } from '../../../src/platform/db/database-url.ts'

/** As the driver will be told: host, port and what else is asked. */
const read = (url: string): string[] => readDatabaseUrl(url).urls

t.test('a URL of one host goes to the driver as it is', async t => {
  for (const url of [
    'postgresql://mfa:p%40ss@db.example:5433/mfa?sslmode=verify-full&sslrootcert=/run/ca',
    'postgres://db.example/mfa',
    'postgresql:///mfa',
    'postgresql://mfa:x@/mfa?host=/run/postgresql',
    'postgresql://mfa@%2Frun%2Fpostgresql/mfa',
    'postgresql://[2001:db8::1]:5433/mfa',
    'postgresql://a:b@c@db.example/mfa',
    'postgresql://db.example:/mfa?host=other&port=1'
  ]) {
    t.same(read(url), [url])
    t.match(readDatabaseUrl(url), { isChoice: false, attributes: 'any', isPooled: false })
  }
  t.match(readDatabaseUrl('postgresql://db/mfa?pgbouncer=false&pgbouncer=true'), { isPooled: true })
  t.match(
    readDatabaseUrl('postgresql://db/mfa?target_session_attrs=read-write'),
    { isChoice: true, attributes: 'read-write' },
    'one host may have to be looked at, too'
  )
})

t.test('hosts and ports may be lists, in the name or as parameters, as libpq has them', async t => {
  const cases: Array<[string, string[], Array<[string, string]>]> = [
    ['postgresql://u:p@one,two/mfa', ['one', 'two'], [['one', ''], ['two', '']]],
    ['postgresql://u:p@one:5433,two,three:5434/mfa', ['one', 'two', 'three'], [['one', '5433'], ['two', ''], ['three', '5434']]],
    ['postgresql://u:p@[2001:db8::1]:5433,[::1]/mfa', ['2001:db8::1', '::1'], [['2001:db8::1', '5433'], ['::1', '']]],
    ['postgresql://u:p@localhost/mfa?host=one,[::1],/run/postgresql&port=1,2,3', ['one', '::1', '/run/postgresql'], [['one', '1'], [
      '::1',
      '2'
    ], ['/run/postgresql', '3']]],
    ['postgresql://u:p@one,two/mfa?port=7', ['one', 'two'], [['one', '7'], ['two', '7']]],
    ['postgresql://u:p@,two:5434/mfa', ['localhost', 'two'], [['localhost', ''], ['two', '5434']]],
    ['postgresql://u:p@%2Frun%2Fpg,two/mfa', ['/run/pg', 'two'], [['/run/pg', ''], ['two', '']]]
  ]
  for (const [url, hosts, places] of cases) {
    t.same(readDatabaseUrl(url).hosts, hosts, url)
    t.same(read(`${url}${url.includes('?') ? '&' : '?'}sslmode=verify-full`).map(each => {
      const { username, password, pathname, searchParams } = new URL(each)
      t.same([username, password, pathname, searchParams.get('sslmode')], ['u', 'p', '/mfa', 'verify-full'], 'the rest is the same for all')
      return [searchParams.get('host'), searchParams.get('port') ?? '']
    }), places)
  }
})

t.test('what is none is refused by a sentence without what it holds', async t => {
  const cases: Array<[string, RegExp]> = [
    ['mysql://user:canary@host/db', /^must begin with postgres/],
    ['user:canary@host/db', /^must begin/],
    ['postgresql:mfa', /^must begin/],
    ['', /^must begin/],
    ['postgresql://u:canary@one:x,two/mfa', /^is not a URL: .*write @ as %40/],
    ['postgresql://u:canary@[::1/mfa', /^is not a URL: .*write @ as %40/],
    ['postgresql://u:canary@%ff/mfa', /^is not a URL: .*write @ as %40/],
    ['postgresql://u:canary@a b/mfa', /^is not a URL: .*write @ as %40/],
    ['postgresql://one,two,three/canary?port=1,2', /^lists 2 ports for 3 hosts$/],
    ['postgresql://one/canary?port=70000', /^has a port that is not a number up to 65535$/],
    ['postgresql://one/canary?port=x', /^has a port/],
    [
      'postgresql://one/mfa?target_session_attrs=canary',
      /^has a target_session_attrs that is none of any, read-write, read-only, primary, standby, prefer-standby$/
    ]
  ]
  for (const [url, message] of cases) t.throws(() => readDatabaseUrl(url), { message }, url)
})
