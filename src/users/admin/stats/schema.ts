import { Type } from 'typebox'

export const Stats = Type.Object({
  users: Type.Integer({ description: 'All users but disabled ones. They are left out everywhere here' }),
  enrolled: Type.Integer({ description: 'Have an authenticator' }),
  groups: Type.Array(Type.Object({ group: Type.String(), users: Type.Integer(), enrolled: Type.Integer() }), {
    description: 'The 1000 largest. A user in several counts in each'
  }),
  locked: Type.Integer({ description: 'Locked after too many wrong codes' }),
  codesRunningLow: Type.Integer({ description: 'Have at most three recovery codes left' }),
  enrolledPerDay: Type.Array(Type.Object({ day: Type.String({ format: 'date' }), enrolled: Type.Integer() }), {
    description: 'The last 30 days (UTC), today at the end: how many of the enrolled users enrolled on that day'
  }),
  administrators: Type.Object({
    enrolled: Type.Integer(),
    notEnrolled: Type.Integer()
  }, { description: 'Users who ever had an `mfa:` role' }),
  passkeys: Type.Object({ users: Type.Integer(), synced: Type.Integer() }, {
    description: 'Users who have a passkey, and those who have one that lives on several devices'
  }),
  warning: Type.Union([Type.String(), Type.Null()], {
    description: 'Fewer than two administrators are enrolled: one lost phone, and no one can administer'
  })
}, {
  $id: 'Stats',
  examples: [{
    users: 10,
    enrolled: 5,
    groups: [{ group: 'staff', users: 4, enrolled: 2 }],
    locked: 1,
    codesRunningLow: 1,
    enrolledPerDay: [{ day: '2026-11-23', enrolled: 2 }, { day: '2026-11-24', enrolled: 3 }],
    administrators: { enrolled: 1, notEnrolled: 1 },
    passkeys: { users: 2, synced: 1 },
    warning: 'Fewer than two administrators are enrolled. If one loses their authenticator, no one can help. Enroll another one.'
  }]
})
