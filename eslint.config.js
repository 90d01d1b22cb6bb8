import neostandard from 'neostandard'

/** Comparing these by === tells by its time how much was right; timingSafeEqual and bcrypt do it instead. */
const SECRETS = '/(^(code|secret|token|hash|mac|signature|pepper)|(Code|Secret|Token|Hash|Mac|Signature|Pepper))$/'

/** The names of an operand; `expression` is what stands in `a?.token` and `token!`. */
const OPERANDS = ['left', 'right'].flatMap(side => [side, `${side}.expression`]).flatMap(path => [`${path}.name`, `${path}.property.name`])

/** What may not be written in src. */
const NAMES = [
  { object: 'Math', property: 'random', message: 'Not random enough: use node:crypto.' },
  { property: '$queryRawUnsafe', message: 'SQL is tagged; values are parameters.' },
  { property: '$executeRawUnsafe', message: 'SQL is tagged; values are parameters.' }
]
const SETTINGS = [
  {
    selector: 'Property:matches([key.name="trustProxy"], [key.value="trustProxy"])[value.value=true]',
    message: 'Name the proxies: true believes anyone.'
  },
  {
    selector: 'Property:matches([key.name="removeAdditional"], [key.value="removeAdditional"]):not([value.value=false])',
    message: 'Unknown fields are refused, not dropped.'
  }
]
// A comparison with a constant of the source has no secret in it: an error's code, for instance, or undefined.
const COMPARISONS = [{
  selector: `BinaryExpression[operator=/^[!=]==?$/]:matches(${OPERANDS.map(path => `[${path}=${SECRETS}]`).join(', ')})` +
    ':not([left.type="Literal"], [right.type="Literal"], [left.type="Identifier"][left.name="undefined"], ' +
    '[right.type="Identifier"][right.name="undefined"])',
  message: 'Compare secrets in constant time.'
}]

const IGNORED = ['dist/**', 'src/platform/db/generated/**', '.data/**', '.tap/**', '.test/**']

export default [
  { ignores: IGNORED },
  ...neostandard({ ts: true, ignores: IGNORED }),
  // A schema and its type have one name; a promise that is not waited for is marked.
  { rules: { '@typescript-eslint/no-redeclare': 'off', 'no-void': 'off' } },
  {
    // A pattern cannot be broken; in templates stand the lines of other languages.
    rules: { '@stylistic/max-len': ['error', { code: 140, ignoreRegExpLiterals: true, ignoreTemplateLiterals: true }] }
  },
  {
    files: ['src/**/*.ts'],
    rules: {
      'no-console': 'error',
      'no-restricted-properties': ['error', ...NAMES],
      'no-restricted-syntax': ['error', ...SETTINGS, ...COMPARISONS]
    }
  },
  {
    files: ['src/http/errors.ts', 'src/http/problem.ts', 'src/http/openapi.ts', 'src/http/plugins/logging.ts'],
    // Here `code` is the name of an error.
    rules: { 'no-restricted-syntax': ['error', ...SETTINGS] }
  }
]
