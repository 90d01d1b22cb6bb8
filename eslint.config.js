import neostandard from 'neostandard'

/** Comparing these by === tells by its time how much was right; timingSafeEqual and bcrypt do it instead. */
const SECRETS = '/^(code|secret|token|hash|mac|signature|pepper)$/'

/** What may not be written in src, whoever writes it (security.md, row 220). */
export const GATES = [
  { selector: 'MemberExpression[object.name="Math"][property.name="random"]', message: 'Not random enough: use node:crypto.' },
  { selector: 'MemberExpression[property.name=/^\\$(query|execute)RawUnsafe$/]', message: 'SQL is tagged; values are parameters.' },
  { selector: 'Property[key.name="trustProxy"][value.value=true]', message: 'Name the proxies: true believes anybody.' },
  { selector: 'Property[key.name="removeAdditional"]:not([value.value=false])', message: 'Unknown fields are refused, not dropped.' },
  ...['left.name', 'left.property.name', 'right.name', 'right.property.name'].map(path => ({
    selector: `BinaryExpression[operator=/^[!=]==?$/][${path}=${SECRETS}]:not([left.type="Literal"], [right.type="Literal"], [left.type="Identifier"][left.name="undefined"], [right.type="Identifier"][right.name="undefined"])`,
    message: 'Compare secrets in constant time.'
  }))
]

const IGNORED = ['dist/**', 'src/db/generated/**', '.data/**', '.tap/**']

export default [
  { ignores: IGNORED },
  ...neostandard({ ts: true, ignores: IGNORED }),
  // A schema and its type have one name; a promise that nobody waits for is marked.
  { rules: { '@typescript-eslint/no-redeclare': 'off', 'no-void': 'off' } },
  {
    files: ['src/**/*.ts'],
    rules: { 'no-console': 'error', 'no-restricted-syntax': ['error', ...GATES] }
  },
  {
    files: ['src/http/errors.ts', 'src/http/problem.ts', 'src/http/openapi.ts', 'src/http/logging.ts'],
    // Here `code` is the name of an error.
    rules: { 'no-restricted-syntax': ['error', ...GATES.slice(0, 4)] }
  }
]
