// Envoy's own API definitions, which npm has as a part of gRPC's client for them: whether a configuration is one.
import { existsSync } from 'node:fs'
import protobuf from 'protobufjs'

const DEFINITIONS = ['envoy-api', 'googleapis', 'protoc-gen-validate', 'xds'].map(name => `node_modules/@grpc/grpc-js-xds/deps/${name}`)
  .concat('node_modules/protobufjs')
const EXTENSIONS = [
  'network/http_connection_manager/v3/http_connection_manager',
  'http/ext_authz/v3/ext_authz',
  'http/header_mutation/v3/header_mutation',
  'http/router/v3/router'
]

const WRAPPERS: Record<string, (value: unknown) => boolean> = {
  '.google.protobuf.BoolValue': value => typeof value === 'boolean',
  '.google.protobuf.Duration': value => typeof value === 'string' && /^\d+(\.\d+)?s$/.test(value)
}

/** What is wrong with a bootstrap configuration: names that there are not, values of another type, what is required and not there. */
export async function mistakesOf (bootstrap: unknown): Promise<string[]> {
  const root = new protobuf.Root()
  root.resolvePath = (_origin, target) => DEFINITIONS.map(dir => `${dir}/${target}`).find(existsSync) as string
  await root.load(['envoy/config/bootstrap/v3/bootstrap.proto', ...EXTENSIONS.map(path => `envoy/extensions/filters/${path}.proto`)], {
    keepCase: true
  })
  root.resolveAll()

  function ofMessage (type: protobuf.Type, value: unknown, path: string): string[] {
    const wrapper = WRAPPERS[type.fullName]
    if (wrapper !== undefined) return wrapper(value) ? [] : [`${path}: is no ${type.name}`]
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return [`${path}: is no ${type.name}`]
    if (type.fullName === '.google.protobuf.Any') {
      const { '@type': name, ...rest } = value as Record<string, unknown>
      const found = root.lookup(String(name).replace('type.googleapis.com/', ''), protobuf.Type) as protobuf.Type | null
      return found === null ? [`${path}: no such type: ${String(name)}`] : ofMessage(found, rest, path)
    }
    const given = value as Record<string, unknown>
    const isGiven = (name: string): boolean => given[name] !== undefined
    return [
      ...Object.entries(given).flatMap(([name, each]) => {
        const field = type.fields[name]
        return field === undefined ? [`${path}.${name}: is no field of ${type.name}`] : ofField(field, each, `${path}.${name}`)
      }),
      ...type.fieldsArray.filter(({ name, options }) =>
        (options?.['(validate.rules).message.required'] === true || options?.['(validate.rules).string.min_len'] !== undefined) &&
        !isGiven(name) && type.fields[name]?.partOf == null
      )
        .map(({ name }) => `${path}.${name}: is missing`),
      ...type.oneofsArray.flatMap(({ name, oneof, options }) => {
        const count = oneof.filter(isGiven).length
        return count > 1 || (count === 0 && options?.['(validate.required)'] === true) ? [`${path}: ${count} of ${name}`] : []
      })
    ]
  }

  function ofField (field: protobuf.Field, value: unknown, path: string): string[] {
    if (field.repeated) {
      return Array.isArray(value)
        ? value.flatMap((each, index) => ofValue(field, each, `${path}[${index}]`))
        : [`${path}: is no list`]
    }
    if (field.map) return Object.entries(value as object).flatMap(([key, each]) => ofValue(field, each, `${path}.${key}`))
    return ofValue(field, value, path)
  }

  function ofValue ({ resolvedType, type }: protobuf.Field, value: unknown, path: string): string[] {
    if (resolvedType instanceof protobuf.Type) return ofMessage(resolvedType, value, path)
    const kind: string = typeof value
    const isRight = resolvedType instanceof protobuf.Enum
      ? String(value) in resolvedType.values
      : kind === (({ string: 'string', bool: 'boolean' } as Record<string, string>)[type] ?? 'number')
    return isRight ? [] : [`${path}: is no ${resolvedType?.name ?? type}`]
  }

  return ofMessage(root.lookupType('envoy.config.bootstrap.v3.Bootstrap'), bootstrap, '')
}
