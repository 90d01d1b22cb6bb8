import { fstatSync, write, writeSync } from 'node:fs'
import type { DestinationStream } from 'pino'

/**
 * How much of the log waits for a reader that stands still, or for a disk with room, in bytes: beyond it lines are lost, and
 * memory stays.
 */
const MOST_WAITING = 1024 * 1024
/** How much is written at a time. */
const CHUNK = 64 * 1024
const RETRY_MS = 500

export interface LogEvents {
  /** A line was lost, as nothing could be written for long. */
  onLost: () => void
  /** It can be written again, and all that waited is: so many lines were lost in between. */
  onWritable: (lost: number) => void
}

type Write = (chunk: Buffer, done: (error: Error | null | undefined, written: number) => void) => void

/**
 * The log on standard output, written beside what the process does. A full disk, a pipe that is not read and one whose reader is gone
 * neither end nor hold up anything: lines wait, within bounds, and are lost beyond them.
 */
class LogOutput implements DestinationStream {
  readonly #write: Write
  readonly #events: LogEvents
  #waiting: string[] = []
  /** Of what waits and what is being written, in bytes. */
  #size = 0
  #isWriting = false
  #lost = 0

  constructor (write: Write, events: LogEvents) {
    this.#write = write
    this.#events = events
    process.on('exit', () => { this.#flush() })
  }

  write (line: string): void {
    const size = Buffer.byteLength(line)
    if (this.#size + size > MOST_WAITING) {
      this.#lost++
      this.#events.onLost()
      return
    }
    this.#size += size
    this.#waiting.push(line)
    if (!this.#isWriting) this.#writeNext()
  }

  /** As the process ends, as far as it goes without waiting. */
  #flush (): void {
    let rest = Buffer.from(this.#waiting.join(''))
    try {
      while (rest.length > 0) rest = rest.subarray(writeSync(1, rest))
    } catch { /* there is no room for it */ }
  }

  #writeNext (): void {
    if (this.#waiting.length === 0) return
    this.#isWriting = true
    let lines = 0
    for (let size = 0; lines < this.#waiting.length && size < CHUNK; lines++) size += (this.#waiting[lines] as string).length
    this.#writeAll(Buffer.from(this.#waiting.splice(0, lines).join('')))
  }

  #writeAll (chunk: Buffer): void {
    this.#write(chunk, (error, written) => {
      if (error != null) {
        setTimeout(() => { this.#writeAll(chunk) }, RETRY_MS).unref()
        return
      }
      this.#size -= written
      if (written < chunk.length) {
        this.#writeAll(chunk.subarray(written))
        return
      }
      this.#isWriting = false
      this.#writeNext()
      if (!this.#isWriting && this.#lost > 0) this.#tell()
    })
  }

  #tell (): void {
    const lost = this.#lost
    this.#lost = 0
    this.#events.onWritable(lost)
  }
}

export function openLog (events: LogEvents): DestinationStream {
  // Each write reports it; without this it would end the process.
  process.stdout.on('error', () => {})
  const output = fstatSync(1)
  if (!output.isFIFO() && !output.isSocket()) return new LogOutput((chunk, done) => { write(1, chunk, done) }, events)
  // To a pipe Node writes without waiting. A thread that waits to write to one would keep the process from its end.
  return new LogOutput((chunk, done) => { process.stdout.write(chunk, error => { done(error, chunk.length) }) }, events)
}
