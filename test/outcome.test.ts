// The database's answer to a change is lost after the commit: no one is told that nothing happened, and what each operation's detail says
// to look at tells whether it was done.
import sql from 'sql-template-tag'
import t from 'tap'
import { administrator } from './helpers/administrator.ts'
import { Authenticator } from './helpers/authenticator.ts'
import { ownDatabase } from './helpers/database.ts'
import { login, truster } from './helpers/devices.ts'
import { answerChallenge, enrollPasskey, PASSKEYS, startPasskey } from './helpers/passkeys.ts'
import { startProxy } from './helpers/proxy.ts'
import { type Answer, type User, startService } from './helpers/service.ts'
import { aroundSettling } from './helpers/settling.ts'
import { until } from './helpers/until.ts'

const { url } = await ownDatabase(t)
const proxy = await startProxy(t, url)
const service = await startService(t, { ...PASSKEYS, DATABASE_URL: proxy.url, JWT_SESSION_CLAIM: 'sid', MFA_FRESH_SECONDS: '3600' })
const direct = await startService(t, { ...service.env, DATABASE_URL: url }, service.clock)
const { clock, db } = service
const { body: specification } = await service.call('GET', '/openapi.json')
const operations = Object.entries(specification.paths as Record<string, Record<string, any>>)
  .flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      path,
      method: method.toUpperCase(),
      id: operation.operationId as string,
      ifUnknown: operation['x-outcome-unknown'] as string | undefined,
      operation
    }))
  )

/** Once each service has new connections, as far as it needs them. */
async function healed (): Promise<void> {
  await proxy.restore()
  await until(async () => (await service.call('GET', '/health/ready')).status === 200)
}

/** The settlement is committed, and its answer does not come. */
async function losing (call: () => Promise<Answer>): Promise<Answer> {
  const restore = aroundSettling(db, async send => {
    const lost = proxy.loseAnswers(/"outcome"/)
    const answer = send()
    await lost
    proxy.cut()
    return await answer
  })
  const answer = await call()
  restore()
  await healed()
  return answer
}

interface Action {
  by: User
  path: string
  body?: object
  token?: string /** By the other way: was it done? */
  look: () => Promise<boolean>
}

const on = (user: User, method: string, path: string, body?: object, token = user.token()): Promise<Answer> =>
  direct.call(method, path, { token, body })
const enrolled = async () => {
  const by = service.user({ sid: 's1' })
  return { by, ...await by.enroll() }
}
const helped = async () => {
  const { admin, token, enrolled } = await administrator(service)
  const { user, id } = await enrolled()
  const read = async (): Promise<any> => (await on(admin, 'GET', `/admin/users/${id}`, undefined, token)).body
  return { by: admin, token, user, id, read, body: { reason: 'Ticket 4711' } }
}

const trusting = async () => {
  const { user: by, ...made } = await truster(service)
  const list = async (): Promise<unknown[]> => (await on(by, 'GET', '/mfa/devices')).body.items
  return { by, ...made, list }
}
const trustingOf = async () => {
  const { by, deviceId } = await trusting()
  const { admin, token } = await administrator(service, ['mfa:admin'], by.tenant)
  const path = `/admin/users/${(await by.row()).id}`
  const read = async (): Promise<unknown[]> => (await on(admin, 'GET', path, undefined, token)).body.devices
  return { admin, token, path, deviceId, read }
}

const actions: Record<string, () => Promise<Action>> = {
  async startEnrollment () {
    const by = service.user()
    return { by, path: '/mfa/enroll', body: {}, look: async () => (await on(by, 'POST', '/mfa/enroll')).status === 201 }
  },
  async confirmEnrollment () {
    const by = service.user()
    const { body: { factorId, secret } } = await by.call('POST', '/mfa/enroll')
    return {
      by,
      path: '/mfa/enroll/confirm',
      body: { factorId, code: clock.code(secret) },
      async look () {
        const { body } = await on(by, 'GET', '/mfa/status')
        clock.advance(30)
        const { body: { token } } = await on(by, 'POST', '/mfa/verify', { code: clock.code(secret) })
        const { body: { recoveryCodes } } = await on(by, 'POST', '/mfa/recovery/codes', undefined, token)
        return body.factors[0].status === 'active' && body.recoveryCodes.acknowledgedAt === null && recoveryCodes.length === 10
      }
    }
  },
  async verify () {
    const { by, secret } = await enrolled()
    return {
      by,
      path: '/mfa/verify',
      body: { code: clock.code(secret) },
      async look () {
        const { body: { factors: [{ lastUsedAt }] } } = await on(by, 'GET', '/mfa/status')
        const { status } = await on(by, 'POST', '/mfa/token')
        return Date.now() - Date.parse(lastUsedAt) < 60_000 && status === 200
      }
    }
  },
  async startPasskey () {
    const by = service.user()
    return { by, path: '/mfa/passkeys', body: {}, look: async () => (await on(by, 'POST', '/mfa/passkeys')).status === 201 }
  },
  async confirmPasskey () {
    const by = service.user()
    const { factorId, options } = await startPasskey(by)
    const authenticator = new Authenticator()
    return {
      by,
      path: '/mfa/passkeys/confirm',
      body: { factorId, credential: authenticator.create(options) },
      async look () {
        const { body } = await on(by, 'GET', '/mfa/status')
        const { body: { options } } = await on(by, 'POST', '/mfa/passkeys/challenge')
        const { status } = await on(by, 'POST', '/mfa/passkeys/verify', { credential: authenticator.get(options) })
        return body.factors[0].status === 'active' && body.recoveryCodes.acknowledgedAt === null && status === 200
      }
    }
  },
  async verifyPasskey () {
    const by = service.user({ sid: 's1' })
    const { authenticator } = await enrollPasskey(by)
    return {
      by,
      path: '/mfa/passkeys/verify',
      body: { credential: await answerChallenge(by, authenticator) },
      async look () {
        const { body: { factors: [{ lastUsedAt }] } } = await on(by, 'GET', '/mfa/status')
        const { body } = await on(by, 'POST', '/mfa/token')
        return Date.now() - Date.parse(lastUsedAt) < 60_000 && body.acr === 'phr'
      }
    }
  },
  async recover () {
    const { by, recoveryCodes } = await enrolled()
    return {
      by,
      path: '/mfa/recovery',
      body: { code: recoveryCodes?.[0] },
      look: async () => (await on(by, 'GET', '/mfa/status')).body.recoveryCodes.remaining === 9
    }
  },
  async replaceRecoveryCodes () {
    const { by, token } = await enrolled()
    await by.call('POST', '/mfa/recovery/acknowledge')
    return {
      by,
      path: '/mfa/recovery/codes',
      token,
      async look () {
        const { body: { recoveryCodes } } = await on(by, 'GET', '/mfa/status')
        // The call that came to nothing gave its turn back: to make them anew does not wait.
        return recoveryCodes.acknowledgedAt === null && (await on(by, 'POST', '/mfa/recovery/codes', undefined, token)).status === 201
      }
    }
  },
  async acknowledgeRecoveryCodes () {
    const { by } = await enrolled()
    return { by, path: '/mfa/recovery/acknowledge', look: async () => (await on(by, 'GET', '/mfa/recovery')).body.acknowledgedAt !== null }
  },
  async endSession () {
    const { by } = await enrolled()
    return {
      by,
      path: '/mfa/session',
      look: async () => (await on(by, 'DELETE', '/mfa/session')).status === 204 && (await on(by, 'POST', '/mfa/token')).status === 401
    }
  },
  async endAllSessions () {
    const { by, token } = await enrolled()
    return {
      by,
      path: '/mfa/sessions',
      token,
      look: async () => (await on(by, 'GET', '/mfa/status', undefined, token)).body.code === 'invalid_token'
    }
  },
  async renameFactor () {
    const { by, factorId, token } = await enrolled()
    return {
      by,
      path: `/mfa/factors/${factorId}`,
      body: { label: 'Tablet' },
      token,
      look: async () => (await on(by, 'GET', '/mfa/factors')).body.items[0].label === 'Tablet'
    }
  },
  async removeFactor () {
    const { by, factorId, token } = await enrolled()
    return { by, path: `/mfa/factors/${factorId}`, token, look: async () => (await on(by, 'GET', '/mfa/factors')).body.items.length === 0 }
  },
  async setPolicy () {
    const { admin: by, token } = await administrator(service)
    return {
      by,
      path: '/admin/policy',
      body: { enforcement: 'required' },
      token,
      look: async () => (await on(by, 'GET', '/admin/policy', undefined, token)).body.version === 1
    }
  },
  async syncUsers () {
    const { admin: by, token } = await administrator(service)
    const body = { users: [{ subject: 'new', groups: ['staff'] }] }
    // Over a connection that is open by then.
    await by.call('PUT', '/admin/users', { users: [{ subject: 'before' }] }, token)
    return {
      by,
      path: '/admin/users',
      body,
      token,
      look: async () => (await on(by, 'PUT', '/admin/users', body, token)).body.unchanged === 1
    }
  },
  async setExemption () {
    const { by, token, id, read } = await helped()
    return {
      by,
      path: `/admin/users/${id}/exemption`,
      body: { exempt: true, reason: 'x' },
      token,
      look: async () => (await read()).exemption !== null
    }
  },
  async setGrace () {
    const { by, token, id, read } = await helped()
    return {
      by,
      path: `/admin/users/${id}/grace`,
      body: { until: '2199-01-01T00:00:00Z', reason: 'x' },
      token,
      look: async () => (await read()).graceUntil !== null
    }
  },
  async resetUser () {
    const { by, token, id, read, body } = await helped()
    return {
      by,
      path: `/admin/users/${id}/reset`,
      body: { ...body, requireCode: true },
      token,
      look: async () =>
        (await read()).factors.length === 0 && (await on(by, 'POST', `/admin/users/${id}/bypass`, body, token)).status === 201
    }
  },
  async unlockUser () {
    const { by, token, id, user, read, body } = await helped()
    await user.call('POST', '/mfa/verify', { code: '000000' })
    return { by, path: `/admin/users/${id}/unlock`, body, token, look: async () => (await read()).locks.totp.failures === 0 }
  },
  async issueBypass () {
    const { by, token, id, body, user } = await helped()
    return {
      by,
      path: `/admin/users/${id}/bypass`,
      body,
      token,
      look: async () =>
        (await on(user, 'POST', '/mfa/recovery', { code: (await on(by, 'POST', `/admin/users/${id}/bypass`, body, token)).body.code }))
          .status === 200
    }
  },
  async signOutUser () {
    const { by, token, id, body } = await helped()
    return {
      by,
      path: `/admin/users/${id}/sign-out`,
      body,
      token,
      look: async () => (await on(by, 'POST', `/admin/users/${id}/sign-out`, body, token)).status === 204
    }
  },
  async trustDevice () {
    const { by, token, list } = await trusting()
    return { by, path: '/mfa/devices', token, look: async () => (await list()).length === 2 }
  },
  async useDevice () {
    const { by, deviceToken } = await trusting()
    const session = login(by)
    return {
      by,
      path: '/mfa/devices/use',
      body: { deviceToken },
      token: session,
      look: async () => (await on(by, 'POST', '/mfa/devices/use', { deviceToken }, session)).status === 200
    }
  },
  async forgetDevice () {
    const { by, token, deviceId, list } = await trusting()
    return { by, path: `/mfa/devices/${deviceId}`, token, look: async () => (await list()).length === 0 }
  },
  async forgetDevices () {
    const { by, token, list } = await trusting()
    return { by, path: '/mfa/devices', token, look: async () => (await list()).length === 0 }
  },
  async revokeDevice () {
    const { admin, token, path, deviceId, read } = await trustingOf()
    return {
      by: admin,
      path: `${path}/devices/${deviceId}`,
      body: { reason: 'x' },
      token,
      look: async () => (await read()).length === 0
    }
  },
  async revokeDevices () {
    const { admin, token, path, read } = await trustingOf()
    return { by: admin, path: `${path}/devices`, body: { reason: 'x' }, token, look: async () => (await read()).length === 0 }
  },
  async eraseUser () {
    const { by, token, id, body } = await helped()
    return {
      by,
      path: `/admin/users/${id}/erase`,
      body,
      token,
      look: async () => (await on(by, 'GET', `/admin/users/${id}`, undefined, token)).status === 404
    }
  },
  async retryWebhookEvent () {
    const { admin: by, token } = await administrator(service)
    await db.settle('want_webhook_events', sql``)
    await by.call('PUT', '/admin/policy', { enforcement: 'required' }, token)
    const [{ id }] = await db
      .rows`UPDATE webhook_events SET parked_at = now(), failure = 'x' WHERE tenant = ${by.tenant} RETURNING id::text` as [{ id: string }]
    return {
      by,
      path: `/admin/notices/${id}/retry`,
      token,
      look: async () => !(await on(by, 'GET', '/admin/notices', undefined, token)).body.items.some((item: any) => item.status === 'parked')
    }
  }
}

t.test('each operation that changes something says in the specification what an unknown outcome means, and none that does not', async t => {
  const acting = operations.filter(({ ifUnknown }) => ifUnknown !== undefined)
  t.same(acting.map(({ id }) => id).sort(), Object.keys(actions).sort())
  // A challenge that is stored nowhere, a new token for what is remembered already, and a question about a draft.
  t.same(operations.filter(({ method, ifUnknown }) => method !== 'GET' && ifUnknown === undefined).map(({ id }) => id).sort(), [
    'challengePasskey', 'previewPolicy',
    'renewToken'
  ])
  for (const { id, ifUnknown, operation } of operations) {
    const { examples } = operation.responses['503']?.content['application/problem+json'] ?? {}
    t.equal(examples?.outcome_unknown?.value.detail, ifUnknown, id)
    if (ifUnknown !== undefined) t.match(ifUnknown, /^It may have been done\. /, id)
  }
})

for (const { id, method, ifUnknown } of operations) {
  const prepare = actions[id]
  if (prepare === undefined) continue
  t.test(`${id}: an answer that is lost after the commit is no "nothing was accepted"`, async t => {
    const { by, path, body, token, look } = await prepare()
    const answer = await losing(() => by.call(method, path, body, token))
    t.match(answer, { status: 503, body: { code: 'outcome_unknown', detail: ifUnknown } })
    t.notOk(answer.headers.has('retry-after'), 'no client is told to repeat it by itself')
    t.ok(await look(), 'and where it says, it is seen that it was done')
  })
}

t.test('a code that is wrong is not told apart by it: it may have been counted', async t => {
  const { by, secret } = await enrolled()
  const right = await losing(() => by.call('POST', '/mfa/verify', { code: clock.code(secret) }))
  const wrong = await losing(() => by.call('POST', '/mfa/verify', { code: clock.wrongCode(secret) }))
  t.same({ ...wrong.body, instance: '' }, { ...right.body, instance: '' })
  t.equal((await by.throttle('totp')).failures, 1)
  const uncharged = await losing(() => by.call('POST', '/mfa/recovery', { code: '0K7M-2Q9R-WX4T-BN3C' }))
  t.equal(uncharged.body.code, 'outcome_unknown')
})

t.test('what was not sent, or was taken back, was not accepted, and is said so', async t => {
  const { by, secret } = await enrolled()
  const code = clock.code(secret)
  const restore = aroundSettling(db, async send => {
    await proxy.refuse()
    // Until the pool knows of each of its connections that it is gone.
    await until(() => db.connections().idle === 0)
    return await send()
  })
  const unsent = await by.call('POST', '/mfa/verify', { code })
  restore()
  await healed()
  t.match(unsent, { status: 503, body: { code: 'unavailable', detail: /^Nothing was accepted/ } })
  t.ok(unsent.headers.has('retry-after'))
  t.equal((await on(by, 'POST', '/mfa/verify', { code })).status, 200, 'and the code is good')
})

t.test('what is recorded of a user before the change is not the change: if its answer is lost, nothing was accepted', async t => {
  const by = service.user()
  const { settle } = db
  db.settle = async (...call) => {
    const lost = proxy.loseAnswers(/"outcome"/)
    const answer = settle(...call)
    await lost
    proxy.cut()
    return await answer
  }
  const answer = await by.call('POST', '/mfa/enroll')
  db.settle = settle
  await healed()
  t.match(answer, { status: 503, body: { code: 'unavailable' } })
})

t.test('where the answer needs one more read after the change, and that fails, the outcome is unknown and the change was made', async t => {
  for (const prepare of [actions.setExemption, actions.setGrace, actions.renameFactor]) {
    const { by, path, body, token, look } = await (prepare as () => Promise<Action>)()
    const restore = aroundSettling(db, async send => {
      const result = await send()
      await proxy.refuse()
      await until(() => db.connections().idle === 0)
      return result
    })
    const answer = await by.call(path.startsWith('/admin') ? 'PUT' : 'PATCH', path, body, token)
    restore()
    await healed()
    t.match(answer, { status: 503, body: { code: 'outcome_unknown' } }, path)
    t.ok(await look())
  }
})
