import { Type } from 'typebox'
import { Uuid } from '../../http/schema.ts'

const counts = {
  users: Type.Integer({ description: 'All users but disabled ones: the sum of the five below' }),
  enrolled: Type.Integer({ description: 'Have an authenticator, and are asked for it' }),
  mustEnroll: Type.Integer({ description: 'Must set up an authenticator, or a passkey, before they can go on' }),
  inGrace: Type.Integer({ description: 'Can go on until their deadline' }),
  exempt: Type.Integer(),
  notCovered: Type.Integer(),
  needPasskey: Type.Integer({
    description: 'Of all of these: need a passkey, now or later, and have none that can be used. Not a part of the sum'
  })
}

export const PreviewCounts = Type.Object(counts, {
  $id: 'PreviewCounts',
  examples: [{ users: 10, enrolled: 5, mustEnroll: 3, inGrace: 1, exempt: 1, notCovered: 0, needPasskey: 0 }]
})

export const PolicyPreview = Type.Object({
  ...counts,
  byGroup: Type.Record(Type.String(), Type.Ref('PreviewCounts'), {
    description: 'The 1000 largest groups. A user in several counts in each'
  }),
  groupsUnknown: Type.Integer({
    description: 'Users whose groups are not all known, because an issuer left some out. A policy for groups covers them'
  }),
  sample: Type.Array(Type.Object({ userId: Uuid, subject: Type.String(), account: Type.String(), namespace: Type.String() }), {
    maxItems: 20,
    description: 'Some of the users who must enroll'
  })
}, {
  $id: 'PolicyPreview',
  examples: [{
    users: 10,
    enrolled: 5,
    mustEnroll: 3,
    inGrace: 1,
    exempt: 1,
    notCovered: 0,
    needPasskey: 0,
    byGroup: { staff: { users: 4, enrolled: 2, mustEnroll: 2, inGrace: 0, exempt: 0, notCovered: 0, needPasskey: 0 } },
    groupsUnknown: 0,
    sample: [{
      userId: '8d0f1a52-94a1-4c4c-b1b5-02f6d8a3d9d3',
      subject: 'alice',
      account: 'alice@example.com',
      namespace: 'https://id.example.com'
    }]
  }]
})
