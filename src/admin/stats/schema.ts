import { Type } from 'typebox'

export const Stats = Type.Object({
  users: Type.Integer({ description: 'All, but for those who are disabled: so in all that follows' }),
  enrolled: Type.Integer({ description: 'Have an authenticator' }),
  groups: Type.Array(Type.Object({ group: Type.String(), users: Type.Integer(), enrolled: Type.Integer() }), { description: 'The 1000 largest; who is in several counts in each' }),
  locked: Type.Integer({ description: 'Too many failures with codes of either kind' }),
  codesRunningLow: Type.Integer({ description: 'Have three recovery codes left, or fewer' }),
  enrolledPerDay: Type.Array(Type.Object({ day: Type.String({ format: 'date' }), enrolled: Type.Integer() }), { description: 'The last 30 days (UTC), today at the end: how many of those who are enrolled have been so since that day' }),
  administrators: Type.Object({
    enrolled: Type.Integer(),
    notEnrolled: Type.Integer()
  }, { description: 'Users who were ever seen with an `mfa:` role' }),
  warning: Type.Union([Type.String(), Type.Null()], { description: 'Fewer than two administrators are enrolled: one lost phone, and nobody administers' })
}, {
  $id: 'Stats',
  examples: [{ users: 10, enrolled: 5, groups: [{ group: 'staff', users: 4, enrolled: 2 }], locked: 1, codesRunningLow: 1, enrolledPerDay: [{ day: '2026-11-23', enrolled: 2 }, { day: '2026-11-24', enrolled: 3 }], administrators: { enrolled: 1, notEnrolled: 1 }, warning: 'Fewer than two administrators are enrolled: if one loses the authenticator, nobody is left to help. Let another enroll.' }]
})
