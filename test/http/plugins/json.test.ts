import t from 'tap'
import { raw, type RawAnswer, request } from '../../helpers/raw.ts'
import { administrator } from '../../helpers/administrator.ts'
import { type User, type Service } from '../../helpers/service.ts'
import { useService } from '../../helpers/use-service.ts'

const JSON_TYPE = 'Content-Type: application/json'

const post = (user: User, body: string, headers = [JSON_TYPE], path = '/mfa/enroll'): Promise<{ status: number, body: string }> =>
  raw(
    user.service.url,
    request(`POST ${path}`, [`Authorization: Bearer ${user.token()}`, `Content-Length: ${Buffer.byteLength(body)}`, ...headers], body)
  )

t.test('a body that is absent or empty is {}', async t => {
  const service = await useService(t)
  const user = service.user()
  t.equal((await post(user, '', [])).status, 201, 'no type')
  t.equal((await post(user, '')).status, 201, 'a type')
  t.equal((await raw(service.url, request('POST /mfa/enroll', [`Authorization: Bearer ${user.token()}`]))).status, 201, 'no length')
  t.equal(
    (await raw(
      service.url,
      request('POST /mfa/enroll', [`Authorization: Bearer ${user.token()}`, JSON_TYPE, 'Transfer-Encoding: chunked'], '0\r\n\r\n')
    )).status,
    201,
    'chunks of nothing'
  )
  t.match(await user.call('POST', '/mfa/verify'), { status: 400, body: { errors: [{ field: 'code', message: 'is required' }] } })
})

t.test('bodies are application/json in UTF-8', async t => {
  const service = await useService(t)
  const user = service.user()
  for (
    const type of [
      'application/json',
      'APPLICATION/JSON',
      'application/json; charset=utf-8',
      'application/json;charset=UTF-8',
      'application/json; charset="utf-8"'
    ]
  ) {
    t.equal((await post(user, '{}', [`Content-Type: ${type}`])).status, 201, type)
  }
  const others = [
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/jsonp',
    'application/json garbage',
    'application/json\ta',
    'application/json, text/plain',
    'application/json; charset=latin1',
    'application/json;charset=utf-16',
    'application/json; x=y',
    'application/problem+json',
    'text/json',
    'json',
    'application/',
    '*/*',
    'application/json;charset=utf-8;charset=latin1'
  ]
  for (const type of others) {
    const answer = await post(user, '{}', [`Content-Type: ${type}`])
    t.match({ status: answer.status, ...JSON.parse(answer.body) }, { status: 415, code: 'unsupported_media_type' }, type)
  }
  t.equal((await post(user, '{}', [])).status, 415, 'none')
  t.equal((await post(user, '{}', [JSON_TYPE, 'Content-Encoding: gzip'])).status, 415, 'a coding that is not undone')
})

/** Of a caller who may do anything, whatever the bytes. */
const send = (
  service: Service,
  token: string,
  method: string,
  path: string,
  body: Buffer | string,
  headers: string[] = []
): Promise<RawAnswer> =>
  raw(
    service.url,
    Buffer.concat([
      Buffer.from(
        request(`${method} ${path}`, [
          `Authorization: Bearer ${token}`,
          JSON_TYPE,
          `Content-Length: ${Buffer.from(body).length}`,
          ...headers
        ]),
        'latin1'
      ),
      Buffer.from(body)
    ])
  )

t.test('bytes that are not UTF-8 are refused, and never name another user', async t => {
  const service = await useService(t)
  const { admin, token } = await administrator(service)
  const bytes = (text: string): Buffer => Buffer.from(text, 'latin1')
  const wrong = ['j\xfcrgen', '\xe9', '\xc3', '\xc0\x80', '\xed\xa0\x80', '\xf5\x80\x80\x80', 'a\xff\xfe']
  for (const subject of wrong) {
    const { status, body } = await send(
      service,
      token,
      'PUT',
      '/admin/users',
      bytes(`{"users":[{"subject":"${subject}","disabled":true}]}`)
    )
    t.match(
      { status, ...JSON.parse(body) },
      { status: 400, code: 'invalid_request', errors: [{ field: 'body', message: 'is not UTF-8' }] },
      encodeURI(subject)
    )
    t.equal((await send(service, admin.token(), 'POST', '/mfa/enroll', bytes(`{"label":"${subject}"}`))).status, 400)
    const header = await send(service, token, 'GET', '/admin/users', '', [`X-Anything: ${subject}`])
    t.match({ status: header.status, ...JSON.parse(header.body) }, {
      status: 400,
      errors: [{ field: 'headers.x-anything', message: 'is not UTF-8' }]
    })
    t.equal((await send(service, token, 'GET', `/admin/users?subject=${subject}`, '')).status, 400, 'in a query as they are')
    const encoded = [...bytes(subject)].map(byte => `%${byte.toString(16).padStart(2, '0')}`).join('')
    const query = await send(service, token, 'GET', `/admin/users?subject=${encoded}`, '')
    t.match({ status: query.status, ...JSON.parse(query.body) }, {
      status: 400,
      errors: [{ field: 'querystring', message: 'is not percent-encoded UTF-8' }]
    }, encoded)
  }
  for (const query of ['subject=%', 'subject=a%2', 'subject=%zz', '%=', 'subject=a?%', 'subject=jürgen']) {
    t.equal((await send(service, token, 'GET', `/admin/users?${query}`, '')).status, 400, query)
  }
  t.match((await admin.call('PUT', '/admin/users', { users: [{ subject: 'jürgen 🦊', groups: ['é'] }] }, token)).body, { created: 1 })
  t.equal(
    (await send(service, token, 'GET', '/admin/users?subject=j%C3%BCrgen+%F0%9F%A6%8A', '', [
      `X-Anything: ${Buffer.from('jürgen').toString('latin1')}`
    ])).status,
    200,
    'what is UTF-8 is taken'
  )
  const [row] = await service.db.rows<{ users: number }>`SELECT count(*)::int AS users FROM users WHERE tenant = ${admin.tenant}`
  t.equal(row?.users, 2)
})

t.test('NUL and halves of surrogate pairs are 400 wherever text is taken, and so is an id of another form', async t => {
  const service = await useService(t, { MFA_APPLICATION_AUDIENCES: 'billing' })
  const { admin, token, enrolled } = await administrator(service)
  const { user, id } = await enrolled()
  for (const text of ['a\u0000', '\u0000', '\ud800', 'a\udfffb', '\udc00\ud800', 'a\nb', 'a\u0085', 'a\u2028b']) {
    const calls: Array<[string, string, unknown, string]> = [
      ['PUT', '/admin/policy', { enforcement: 'optional', groups: ['staff', text] }, token],
      ['POST', '/admin/policy/preview', { groups: [text] }, token],
      ...['reset', 'unlock', 'bypass', 'sign-out', 'erase'].map((
        action
      ): [string, string, unknown, string] => ['POST', `/admin/users/${id}/${action}`, { reason: text }, token]),
      ['PUT', `/admin/users/${id}/exemption`, { exempt: true, reason: text }, token],
      ['PUT', `/admin/users/${id}/grace`, { until: '2099-01-01T00:00:00Z', reason: text }, token],
      ...['subject', 'account', 'namespace'].map((
        field
      ): [string, string, unknown, string] => ['PUT', '/admin/users', { users: [{ subject: 'x', [field]: text }] }, token]),
      ['PUT', '/admin/users', { users: [{ subject: 'x', groups: [text] }] }, token],
      ['POST', '/mfa/enroll', { label: text }, user.token()],
      ['POST', '/mfa/token', { audience: text }, user.token()],
      ['POST', '/mfa/recovery', { code: `${text}-0000-0000-0000-0000` }, user.token()],
      ...['subject', 'account', 'namespace', 'group', 'cursor'].map((
        name
      ): [string, string, unknown, string] => ['GET', `/admin/users?${name}=${escaped(text)}`, undefined, token]),
      ...['subject', 'cursor', 'action'].map((
        name
      ): [string, string, unknown, string] => ['GET', `/admin/audit?${name}=${escaped(text)}`, undefined, token])
    ]
    for (const [method, path, body, bearer] of calls) {
      t.equal((await admin.call(method, path, body, bearer)).status, 400, `${method} ${path} ${escaped(text)}`)
    }
  }
  for (
    const odd of [`urn:uuid:${id}`, `URN:UUID:${id}`, `{${id}}`, id.replaceAll('-', ''), `${id} `, `${id}\n`, `0x${id.slice(2)}`, '0', 'me']
  ) {
    for (const [method, path, body, bearer] of [
      ['GET', `/admin/users/${encodeURIComponent(odd)}`, undefined, token],
      ['POST', `/admin/users/${encodeURIComponent(odd)}/reset`, { reason: 'x' }, token],
      ['POST', `/admin/notices/${encodeURIComponent(odd)}/retry`, {}, token],
      ['DELETE', `/mfa/factors/${encodeURIComponent(odd)}`, undefined, token],
      ['POST', '/mfa/verify', { code: '123456', factorId: odd }, user.token()],
      ['POST', '/mfa/enroll/confirm', { code: '123456', factorId: odd }, user.token()],
      ['GET', `/admin/users?cursor=${encodeURIComponent(odd)}`, undefined, token]
    ] as const) t.equal((await admin.call(method, path, body, bearer)).status, 400, `${method} ${path}`)
  }
  t.equal((await admin.call('GET', `/admin/users/${id.toUpperCase()}`, undefined, token)).status, 200, 'in capitals it is the same id')
})

/** Percent-encoded, also where that can't be. */
const escaped = (text: string): string =>
  [...Buffer.from([...text].map(character => /\p{Cs}/u.test(character) ? '?' : character).join(''))].map(byte =>
    `%${byte.toString(16).padStart(2, '0')}`
  ).join('').replaceAll('%3f', '%ed%a0%80')

t.test('no text of a caller is without a pattern', async t => {
  const service = await useService(t)
  const { paths, components } = (await service.call('GET', '/openapi.json')).body as {
    paths: Record<string, Record<string, any>>,
    components: any
  }
  const bare: string[] = []
  const look = (schema: any, where: string): void => {
    const { $ref, type, pattern, format, anyOf = [], items, properties = {} } = schema
    // A browser's own object goes over as it is: browsers add members, and its texts are read as bytes, none of them kept as text.
    if (/^post \/mfa\/passkeys\/\w+\.credential$/.test(where)) return
    if ($ref !== undefined) return look(components.schemas[$ref.split('/').at(-1)], where)
    if (type === 'string' && pattern === undefined && schema.enum === undefined && schema.const === undefined) {
      bare.push(`${where} ${format ?? ''}`)
    }
    if (type === 'object') t.equal(schema.additionalProperties, false, `${where}: no other members`)
    for (const part of [...anyOf, ...(items === undefined ? [] : [items])]) look(part, where)
    for (const [name, member] of Object.entries(properties)) look(member, `${where}.${name}`)
  }
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, { requestBody, parameters = [] }] of Object.entries(methods)) {
      if (requestBody !== undefined) look(requestBody.content['application/json'].schema, `${method} ${path}`)
      for (const { name, in: place, schema } of parameters) if (place !== 'header') look(schema, `${method} ${path} ${name as string}`)
    }
  }
  t.same(bare, [])
})

t.test('what is not a JSON object is 400 and is not taken for one', async t => {
  const service = await useService(t)
  const user = service.user()
  const bodies = [
    'null',
    '[]',
    '"x"',
    '1',
    'true',
    '{',
    '{"label":}',
    '{"label":"x"} x',
    '{"label":"x"}{"label":"y"}',
    "{'label':'x'}",
    '\ufeff{]',
    '{"label":"x",}',
    'NaN',
    '[{}]',
    '{"__proto__":{"label":"x"}}',
    '{"constructor":{"prototype":{"label":"x"}}}',
    '{"a":{"__proto__":{}}}',
    '{"\\u005f_proto__":{}}',
    '{"toString":1}',
    '{"label":"x","label ":"y"}'
  ]
  for (const body of bodies) {
    const answer = await post(user, body)
    t.match({ status: answer.status, ...JSON.parse(answer.body) }, { status: 400, code: 'invalid_request' }, body)
  }
  t.equal(({} as any).label, undefined)
  t.equal((await user.call('GET', '/mfa/status')).body.factors.length, 0)
})

t.test('of a field given twice the last one counts, in the check as in the use', async t => {
  const service = await useService(t)
  const user = service.user()
  t.equal((await post(user, '{"label":"a\\u0000","label":"Phone"}')).status, 201)
  t.match((await user.call('GET', '/mfa/factors')).body.items, [{ label: 'Phone' }])
  t.equal((await post(user, '{"label":"Phone","label":"a\\u0000"}')).status, 400)
})

t.test('nothing is coerced, dropped or made up', async t => {
  const service = await useService(t)
  const user = service.user()
  const { secret } = await user.enroll()
  const code = service.clock.code(secret)
  const cases: Array<[Record<string, unknown>, string]> = [
    [{ code, x: 1 }, 'x'],
    [{ code: Number(code) }, 'code'],
    [{ code: [code] }, 'code'],
    [{ code: { value: code } }, 'code'],
    [{ code: null }, 'code'],
    [{ code: true }, 'code'],
    [{}, 'code'],
    [{ code: `${code}x` }, 'code'],
    [{ code: code.slice(1) }, 'code'],
    [{ code: { not: '' } }, 'code'],
    [{ code, factorId: 1 }, 'factorId'],
    [{ code, factorId: null }, 'factorId'],
    [{ code, factorId: [] }, 'factorId'],
    [{ code, factorId: { contains: '' } }, 'factorId']
  ]
  for (const [body, field] of cases) {
    t.match(
      await user.call('POST', '/mfa/verify', body),
      { status: 400, body: { code: 'invalid_request', errors: [{ field }] } },
      JSON.stringify(Object.keys(body))
    )
  }
  t.equal(await user.throttle('totp').then(row => row?.failures ?? 0), 0, 'none of them was an attempt')
  t.equal((await user.call('POST', '/mfa/verify', { code })).status, 200, 'the code is unused')
})

t.test('an unknown field is named as far as it is a name, and no value ever is', async t => {
  const service = await useService(t)
  const user = service.user()
  t.match((await user.call('POST', '/mfa/enroll', { lable: 'x' })).body.errors, [{ field: 'lable', message: 'is unknown' }])
  for (const name of ['<script>alert(1)</script>', 'a b', 'x'.repeat(64), 'é', '', '"quoted"', 'a\nb']) {
    t.same((await user.call('POST', '/mfa/enroll', { [name]: 'x' })).body.errors, [{ field: '(a field)', message: 'is unknown' }], name)
  }
  for (const body of [{ label: 'canary\u0000' }, { label: ['canary'] }, { label: 'canary'.repeat(20) }]) {
    t.notMatch((await user.call('POST', '/mfa/enroll', body)).text, 'canary')
  }
})

t.test('unknown query parameters are 400, and so is the same one twice', async t => {
  const service = await useService(t)
  const user = service.user()
  for (
    const [query, field] of [
      ['a=1&a=2', 'querystring.a'],
      ['token=x', 'querystring.token'],
      ['code=123456', 'querystring.code'],
      ['a[b]=1', 'querystring.(a field)'],
      ['__proto__=1', 'querystring.(a field)'],
      ['=', 'querystring.(a field)']
    ] as const
  ) {
    for (const [method, path] of [['GET', '/mfa/status'], ['POST', '/mfa/enroll'], ['GET', '/mfa/factors']] as const) {
      t.match(await user.call(method, `${path}?${query}`), {
        status: 400,
        body: { code: 'invalid_request', errors: [{ field, message: 'is unknown' }] }
      }, `${method} ${path}?${query}`)
    }
  }
  t.equal((await user.call('GET', '/mfa/status?')).status, 200)
  for (const path of ['/openapi.json?a=1', '/openapi.yaml?a=1', '/health/live?a=1', '/.well-known/jwks.json?a=1']) {
    t.equal((await service.call('GET', path)).status, 400, path)
  }
})

t.test('a body is at most 16 KiB, and deep nesting costs nothing', async t => {
  const service = await useService(t)
  const user = service.user()
  const spaces = (size: number): string => `{}${' '.repeat(size - 2)}`
  t.equal((await post(user, spaces(16384))).status, 201, '16 KiB')
  t.equal((await post(user, spaces(16385))).status, 413, 'one byte more')
  t.equal((await post(user, spaces(1_000_000))).status, 413, '1 MB')
  const chunk = 'x'.repeat(4096)
  const chunked = request(
    'POST /mfa/enroll',
    [`Authorization: Bearer ${user.token()}`, JSON_TYPE, 'Transfer-Encoding: chunked'],
    `1000\r\n${chunk}\r\n`.repeat(5)
  )
  t.equal((await raw(service.url, chunked)).status, 413, 'without a length')
  const start = performance.now()
  t.equal((await post(user, `{"label":${'['.repeat(8000)}${']'.repeat(8000)}}`)).status, 400)
  t.equal((await post(user, '['.repeat(16000))).status, 400)
  t.equal((await post(user, `{"label":${'{"a":'.repeat(2500)}1${'}'.repeat(2500)}}`)).status, 400)
  t.ok(performance.now() - start < 3000, 'fast')
})

t.test('a body that breaks off, or says another length, changes nothing', async t => {
  const service = await useService(t)
  const user = service.user()
  const headers = [`Authorization: Bearer ${user.token()}`, JSON_TYPE]
  t.equal((await raw(service.url, request('POST /mfa/enroll', [...headers, 'Content-Length: 3'], '{}}'))).status, 400)
  t.equal((await raw(service.url, request('POST /mfa/enroll', [...headers, 'Content-Length: -1'], '{}'))).status, 400)
  t.equal((await raw(service.url, request('POST /mfa/enroll', [...headers, 'Content-Length: x'], '{}'))).status, 400)
  t.equal((await user.call('GET', '/mfa/status')).body.factors.length, 0)
})
