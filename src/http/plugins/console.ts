import type { FastifyInstance, FastifyRequest } from 'fastify'
import { NO_QUERY } from '../openapi.ts'

/** Nothing from elsewhere, nothing inline, no frame: tokens are pasted here. */
const CONTENT_SECURITY_POLICY = {
  'default-src': "'none'",
  'base-uri': "'none'",
  'connect-src': "'self'",
  'form-action': "'none'",
  'frame-ancestors': "'none'",
  'img-src': "'self' data:",
  'script-src': "'self'",
  'style-src': "'self'"
}

/** Swagger UI's colours, as dark as a contrast of 4.5 takes (WCAG 2.2, 1.4.3). */
const STYLE = `
.swagger-ui { --get: #0f5fa8; --post: #17704a; --put: #955000; --delete: #b81c1c; --patch: #0b6b5b; --grey: #50555e; }
.swagger-ui a, .swagger-ui .info a { color: var(--get); }
.swagger-ui .info .title small, .swagger-ui .info .title small.version-stamp { background: var(--grey); }
.swagger-ui .opblock.opblock-get .opblock-summary-method, .swagger-ui .btn.execute { background: var(--get); border-color: var(--get); }
.swagger-ui .opblock.opblock-post .opblock-summary-method { background: var(--post); }
.swagger-ui .opblock.opblock-put .opblock-summary-method { background: var(--put); }
.swagger-ui .opblock.opblock-delete .opblock-summary-method { background: var(--delete); }
.swagger-ui .opblock.opblock-patch .opblock-summary-method { background: var(--patch); }
.swagger-ui .btn.authorize, .swagger-ui .response-control-media-type__accept-message { color: var(--post); }
.swagger-ui .btn.authorize { border-color: var(--post); }
.swagger-ui .btn.authorize svg { fill: var(--post); }
.swagger-ui .btn.cancel, .swagger-ui .parameter__name.required::after, .swagger-ui .parameter__name.required span,
.swagger-ui .opblock-section-request-body h4 small { color: var(--delete); }
.swagger-ui .btn.cancel { border-color: var(--delete); }
.swagger-ui .parameter__in, .swagger-ui .parameter__type, .swagger-ui .prop-format,
.swagger-ui .response-col_links i, .swagger-ui .json-schema-2020-12-expand-deep-button { color: var(--grey); }
.swagger-ui .download-contents { background: var(--grey); }
`

/** Names for the controls to which Swagger UI gives none or another, and a way into what scrolls for a keyboard. */
const SCRIPT = `
const NAMES = [['.close-modal', 'Close'], ['.examples-select-element', 'Example'], ['textarea', 'Request body'], ['select', 'Media type']]
const nameOf = control => control.closest('tr[data-param-name]')?.dataset.paramName ??
  NAMES.find(([selector]) => control.matches(selector))?.[1]
new MutationObserver(() => {
  for (const control of document.querySelectorAll('#swagger-ui :is(.close-modal, textarea, select, td input):not([aria-label])')) {
    control.setAttribute('aria-label', nameOf(control) ?? 'Value')
  }
  for (const button of document.querySelectorAll('.modal-btn[aria-label]')) button.removeAttribute('aria-label')
  for (const block of document.querySelectorAll('pre.microlight:not([tabindex])')) block.tabIndex = 0
}).observe(document.body, { childList: true, subtree: true })
`

/**
 * The specification as JSON and YAML, and the console, which shows a request the paths that answer on its listener.
 * Register it after the routes.
 */
export async function registerConsole (
  app: FastifyInstance,
  hasDocs: boolean,
  isAnswered: (asked: { path: string, request: FastifyRequest }) => boolean
): Promise<void> {
  const hidden = { schema: { hide: true, querystring: NO_QUERY } }
  app.get('/openapi.json', hidden, async () => app.swagger())
  app.get(
    '/openapi.yaml',
    hidden,
    async (_request, reply) => reply.type('application/yaml; charset=utf-8').send(app.swagger({ yaml: true }))
  )
  if (!hasDocs) return
  app.get('/', hidden, async (_request, reply) => await reply.redirect('docs/'))
  const { default: swaggerUi } = await import('@fastify/swagger-ui')
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: CONTENT_SECURITY_POLICY,
    theme: { title: 'Headless MFA', css: [{ filename: 'console.css', content: STYLE }], js: [{ filename: 'console.js', content: SCRIPT }] },
    // Without the bar that loads other specifications, without links inside of buttons, without colours that few can tell.
    uiConfig: {
      layout: 'BaseLayout',
      deepLinking: false,
      syntaxHighlight: false,
      defaultModelsExpandDepth: -1,
      persistAuthorization: false,
      displayRequestDuration: true,
      tryItOutEnabled: true
    },
    transformSpecificationClone: false,
    transformSpecification: (specification, request) => {
      // The only server is the one that is asked: there is nothing to choose.
      const { servers: _, paths, components, ...rest } = specification as Specification
      return {
        ...rest,
        components: { ...components, schemas: withoutReasons(components.schemas) },
        paths: Object.fromEntries(Object.entries(paths).filter(([path]) => isAnswered({ path, request })))
      }
    }
  })
}

interface Schema { required?: string[], examples?: object[] }
interface Specification { servers: unknown, paths: Record<string, object>, components: { schemas: Record<string, Schema> } }

/** An example that is filled in as the reason would stand in the audit: the administrator has to write their own. */
const withoutReasons = (schemas: Record<string, Schema>): Record<string, Schema> =>
  Object.fromEntries(
    Object.entries(schemas).map(([name, schema]) => [
      name,
      schema.required?.includes('reason') === true && schema.examples !== undefined
        ? { ...schema, examples: schema.examples.map(example => ({ ...example, reason: '' })) }
        : schema
    ]))
