// An administrator of a tenant of their own, and users of it, as tests of what administrators do need them.
import type { Answer, Claims, Enrolled, User, Service } from './service.ts'

export interface Administrator {
  admin: User
  token: string
  /** `POST /admin/users/{id}/{what}`, with a reason unless the body has one. */
  actOn: (id: string, what: string, body?: object, token?: string) => Promise<Answer>
  /** A user of the tenant who has been here once. */
  seen: (claims?: Partial<Claims>) => Promise<Seen>
  /** The same, enrolled. */
  enrolled: (claims?: Partial<Claims>) => Promise<Seen & Enrolled>
}

export interface Seen { user: User, id: string }

export async function administrator (service: Service, roles = ['mfa:admin'], tenant?: string): Promise<Administrator> {
  const admin = service.user({ roles, ...(tenant !== undefined && { tenant }) })
  const { token } = await admin.enroll()
  const seen = async (claims: Partial<Claims> = {}): Promise<Seen> => {
    const user = service.user({ tenant: admin.tenant, ...claims })
    const { body } = await user.call('GET', '/mfa/status')
    return { user, id: body.userId }
  }
  return {
    admin,
    token,
    actOn: (id, what, body = {}, bearer = token) =>
      admin.call('POST', `/admin/users/${id}/${what}`, { reason: 'Ticket 4711', ...body }, bearer),
    seen,
    enrolled: async claims => {
      const { user, id } = await seen(claims)
      return { user, id, ...await user.enroll() }
    }
  }
}
