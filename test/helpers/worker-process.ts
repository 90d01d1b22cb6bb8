// A process of its own that works as one of test/helpers/workers.ts, until it is killed.
import { readConfig } from '../../src/config/config.ts'
import { placeAt, WORKERS } from './workers.ts'

process.once('disconnect', () => { process.exit() })
WORKERS.find(({ name }) => name === process.argv[2])?.start(placeAt(readConfig(process.env)), process.argv[3] === 'hurried')
