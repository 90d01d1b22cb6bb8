import type { FactorKinds } from '../factors/registry.ts'
import { webhookEventTypes } from './event.ts'
import { webhookExample, webhookExampleBody } from './examples.ts'

const text = (name: string, description: string, example: string): object => ({
  in: 'header',
  name,
  required: true,
  description,
  schema: { type: 'string' },
  example
})

/** What the endpoint is called with: the part of the specification that is not about this service. */
export const webhooksOfSpecification = ({ all, names: [kind] }: FactorKinds): { webhookEvent: object } => ({
  webhookEvent: {
    post: {
      operationId: 'webhookEvent',
      tags: ['Webhooks'],
      summary: 'A change or an attack',
      description: 'Sent to `WEBHOOK_URL`, by Standard Webhooks: at least once, in order per user, retried for a day.',
      security: [],
      parameters: [
        text('webhook-id', 'The same with each try; the `id` of the audit event', '3c1f6f2e-2a43-4c8e-9d5e-7f0f6a1f4b20'),
        text('webhook-timestamp', 'Of this try, in seconds since 1970', '1795521600'),
        text(
          'webhook-signature',
          '`v1,` and the base64 of HMAC-SHA-256 over id, timestamp and body, one for each secret',
          'v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4='
        )
      ],
      requestBody: {
        required: true,
        content: {
          'application/json': {
            schema: { $ref: '#/components/schemas/WebhookEvent' },
            examples: Object.fromEntries(
              webhookEventTypes(all).map(
                type => [type, { summary: webhookExample(type, kind as string).about, value: webhookExampleBody(type, kind as string) }]
              )
            )
          }
        }
      },
      responses: {
        '2XX': { description: 'Delivered. It is not sent again.' },
        410: { description: 'Not wanted. It is parked at once.' },
        default: { description: 'Not delivered. It is tried again.' }
      }
    }
  }
})
