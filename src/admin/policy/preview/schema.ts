import { Type } from 'typebox'
import { Uuid } from '../../../mfa/schema.ts'

const counts = {
  users: Type.Integer({ description: 'All, but for those who are disabled: the five below' }),
  enrolled: Type.Integer({ description: 'Have an authenticator and are asked for its code' }),
  mustEnroll: Type.Integer({ description: 'Could not pass before they enroll' }),
  inGrace: Type.Integer({ description: 'Would pass until their deadline' }),
  exempt: Type.Integer(),
  notCovered: Type.Integer()
}

export const PreviewCounts = Type.Object(counts, { $id: 'PreviewCounts', examples: [{ users: 10, enrolled: 5, mustEnroll: 3, inGrace: 1, exempt: 1, notCovered: 0 }] })

export const PolicyPreview = Type.Object({
  ...counts,
  byGroup: Type.Record(Type.String(), Type.Ref('PreviewCounts'), { description: 'The 1000 largest groups; who is in several counts in each' }),
  groupsUnknown: Type.Integer({ description: 'Of whom an issuer left groups out: a policy for groups covers them' }),
  sample: Type.Array(Type.Object({ userId: Uuid, subject: Type.String(), account: Type.String(), namespace: Type.String() }), { maxItems: 20, description: 'Some who must enroll' })
}, {
  $id: 'PolicyPreview',
  examples: [{
    users: 10, enrolled: 5, mustEnroll: 3, inGrace: 1, exempt: 1, notCovered: 0, byGroup: { staff: { users: 4, enrolled: 2, mustEnroll: 2, inGrace: 0, exempt: 0, notCovered: 0 } }, groupsUnknown: 0, sample: [{ userId: '8d0f1a52-94a1-4c4c-b1b5-02f6d8a3d9d3', subject: 'alice', account: 'alice@example.com', namespace: 'https://id.example.com' }]
  }]
})
