import { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { accepts } from './accepts.ts'

/** Rows of an export that are in memory at a time. */
const EXPORT_PAGE = 1000

export const NDJSON = 'application/x-ndjson'

export const asksForLines = (request: FastifyRequest): boolean => accepts(request, NDJSON)

export interface Export<Row> {
  /** The rows after the one that `cursor` names, `size` of them as long as there are so many. */
  find: (cursor: string | undefined, size: number) => Promise<Row[]>
  cursorOf: (row: Row) => string
  toLine: (row: Row) => object
  cursor: string | undefined
  /** Of the whole answer; all without it. */
  limit: number | undefined
}

/** Answers with any number of rows, one a line. */
export const sendLines = <Row>(reply: FastifyReply, rows: Export<Row>): FastifyReply =>
  reply.type(`${NDJSON}; charset=utf-8`).send(Readable.from(linesOf(rows), { objectMode: false }))

/** Reads a page when the one before has been taken: a slow client holds no more than that, and one that is gone ends it. */
async function * linesOf<Row> ({ find, cursorOf, toLine, cursor, limit = Infinity }: Export<Row>): AsyncGenerator<string> {
  for (let left = limit, after = cursor; left > 0;) {
    const size = Math.min(left, EXPORT_PAGE)
    const page = await find(after, size)
    yield page.map(row => `${JSON.stringify(toLine(row))}\n`).join('')
    if (page.length < size) return
    left -= page.length
    after = cursorOf(page.at(-1) as Row)
  }
}
