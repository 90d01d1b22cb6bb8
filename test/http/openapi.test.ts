import t from 'tap'
import YAML from 'yaml'
import { useService } from '../helpers/use-service.ts'

t.test('the specification is the same as JSON and as YAML, for everyone', async t => {
  const service = await useService(t, { DOCS: 'false' })
  const json = await service.call('GET', '/openapi.json')
  const yaml = await service.call('GET', '/openapi.yaml')
  t.match(json.headers.get('content-type'), 'application/json; charset=utf-8')
  t.match(yaml.headers.get('content-type'), 'application/yaml; charset=utf-8')
  t.match(json.body, { openapi: '3.1.0', info: { title: 'Headless MFA' } })
  t.same(YAML.parse(yaml.text), json.body)
  t.ok(Object.keys(json.body.paths).length >= 12)
  t.notMatch(json.text, /TRACE|PROPFIND/i, 'what answers 405 is no part of it')
})

t.test('every call says what needs a token, and which problems it can answer', async t => {
  const service = await useService(t)
  const { paths } = (await service.call('GET', '/openapi.json')).body as { paths: Record<string, Record<string, any>> }
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, { operationId, security, responses }] of Object.entries(methods)) {
      const isPublic = /^\/(health\/|\.well-known\/|metrics$)/.test(path)
      t.match(operationId, /^[a-z][A-Za-z]+$/, `${method} ${path}`)
      t.same(security, isPublic ? [] : [{ bearer: [] }], `${method} ${path}`)
      if (!isPublic) {
        for (const status of [400, 401, 403, 500, 503]) {
          t.ok(responses[status]?.content['application/problem+json'], `${method} ${path}: ${status}`)
        }
      }
      if (!isPublic) {
        t.equal(responses[429] !== undefined, !/^\/mfa\/(authorize|forward-auth)$/.test(path), `${method} ${path}: under the flood limit`)
      }
    }
  }
})

t.test('a console fills in no filter that was not chosen, and understands the patterns of those that were', async t => {
  const service = await useService(t)
  const { paths } = (await service.call('GET', '/openapi.json')).body as { paths: Record<string, Record<string, any>> }
  for (const [path, methods] of Object.entries(paths)) {
    for (const { parameters = [] } of Object.values(methods)) {
      for (const { name, required, example, examples, schema } of parameters) {
        if (required !== true) {
          t.same(
            [example, examples, schema.example, schema.examples],
            [undefined, undefined, undefined, undefined],
            `${path}: ${name as string}`
          )
        }
        if (schema.pattern !== undefined) {
          t.notMatch(schema.pattern, /\\p/, `${path}: ${name as string} has a pattern that is the same without \`u\``)
        }
      }
    }
  }
})

t.test('the console is there where it is turned on, without what is not ours', async t => {
  const service = await useService(t, { DOCS: 'true' })
  const page = await service.call('GET', '/docs/')
  t.match(page, { status: 200, text: /swagger/i })
  const policy = page.headers.get('content-security-policy') ?? ''
  t.match(policy, "default-src 'none'")
  t.notMatch(policy, /https?:|\*|swagger\.io|upgrade-insecure-requests|unsafe/)
  const { status, body: { components: { schemas } } } = await service.call('GET', '/docs/json')
  t.equal(status, 200)
  for (const { required, examples = [] } of Object.values<any>(schemas)) {
    if (required?.includes('reason') === true) {
      t.ok(
        examples.every(({ reason }: any) => reason === ''),
        'the administrator writes what is audited'
      )
    }
  }
  t.equal(schemas.PolicyChange.examples[0].enforcement, 'report_only', 'what is filled in asks nothing of anyone')
  t.match(await service.call('GET', '/docs/static/%2e%2e/%2e%2e/package.json'), { status: 404 })
})

t.test('without the console its paths are 404', async t => {
  const service = await useService(t, { DOCS: 'false' })
  for (const path of ['/docs', '/docs/', '/docs/json', '/docs/static/index.html', '/documentation']) {
    t.match(await service.call('GET', path), { status: 404, body: { code: 'not_found' } }, path)
  }
})
