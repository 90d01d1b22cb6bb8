// Reads off the wire which statements a client of PostgreSQL sends, whether they have a name or not.

const textOf = (body: Buffer, from = 0): string => body.toString('utf8', from, body.indexOf(0, from))

/** For one connection, from its beginning: takes what comes, and answers the text of each statement that is whole with that. */
export function readStatements (): (chunk: Buffer) => string[] {
  const named = new Map<string, string>()
  let rest = Buffer.alloc(0)
  /** The first message alone has no type. */
  let typeSize = 0
  let bound = ''
  return chunk => {
    const statements: string[] = []
    rest = Buffer.concat([rest, chunk])
    while (rest.length >= typeSize + 4 && rest.length >= typeSize + rest.readInt32BE(typeSize)) {
      const end = typeSize + rest.readInt32BE(typeSize)
      const type = rest.toString('latin1', 0, typeSize)
      const body = rest.subarray(typeSize + 4, end)
      if (type === 'P') named.set(textOf(body), textOf(body, body.indexOf(0) + 1))
      if (type === 'B') bound = named.get(textOf(body, body.indexOf(0) + 1)) as string
      if (type === 'S') statements.push(bound)
      if (type === 'Q') statements.push(textOf(body))
      rest = rest.subarray(end)
      typeSize = 1
    }
    return statements
  }
}

/** Does the server say with this that it has done what it was sent, and is ready for more? */
export const isReady = (answer: Buffer): boolean =>
  answer.length >= 6 && answer.at(-6) === 0x5a && answer.readInt32BE(answer.length - 5) === 5
