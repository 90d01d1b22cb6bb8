import pino, { type DestinationStream } from 'pino'

/** How much of the log waits for a reader that stands still, in bytes; what is more is lost, where memory would grow without end. */
const MOST_UNREAD = 1024 * 1024

/** Standard output, written beside what the process does: a pipe that is full or broken holds up no request. */
export const openLog = (): DestinationStream => pino.destination({ dest: 1, sync: false, maxLength: MOST_UNREAD })
