import type { Test } from 'tap'

/** What every error answers: a problem document (RFC 9457) that no cache keeps, no page frames and no browser takes for something else. */
export function checkProblem (
  t: Test,
  { status, headers, body }: { status: number, headers: Record<string, string | null>, body: any },
  wanted: number,
  code: string,
  name: string
): void {
  t.equal(status, wanted, `${name}: ${wanted}`)
  t.match(headers, {
    'content-type': 'application/problem+json; charset=utf-8',
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'content-security-policy': "default-src 'none';frame-ancestors 'none'",
    'strict-transport-security': /^max-age=31536000/,
    'referrer-policy': 'no-referrer'
  }, `${name}: headers`)
  for (const header of ['server', 'x-powered-by', 'set-cookie', 'location']) t.notOk(headers[header], `${name}: no ${header}`)
  t.match(body, {
    type: `urn:headless-mfa:problem:${code}`,
    title: /^[A-Z]/,
    status: wanted,
    detail: /\.$/,
    instance: /^urn:request:[A-Za-z0-9._-]{1,64}$/,
    code
  }, `${name}: body`)
  if (headers['x-request-id']) t.equal(body.instance, `urn:request:${headers['x-request-id']}`, `${name}: instance carries the request id`)
  const allowed = [
    'type',
    'title',
    'status',
    'detail',
    'instance',
    'code',
    ...(code === 'invalid_request' ? ['errors'] : []),
    ...(code === 'step_up_required' ? ['action'] : []),
    ...(code === 'invalid_token' ? ['cause'] : [])
  ]
  for (const field of Object.keys(body)) t.ok(allowed.includes(field), `${name}: ${field} belongs there`)
  if (wanted === 429 || wanted === 503) t.match(headers['retry-after'], /^[1-9]\d*$/, `${name}: Retry-After`)
  if (wanted === 401) t.match(headers['www-authenticate'], /^Bearer error="/, `${name}: the challenge`)
  else t.notOk(headers['www-authenticate'], `${name}: no challenge`)
}
