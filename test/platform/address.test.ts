import t from 'tap'
import { isPublicAddress, sourceOf } from '../../src/platform/address.ts'

t.test('an address that is not public is none to send to, in whatever notation', t => {
  for (const address of [
    '127.0.0.1',
    '127.1',
    '0x7f.1',
    '2130706433',
    '0177.0.0.1',
    '0.0.0.0',
    '10.0.0.1',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '169.254.169.254',
    '100.64.0.1',
    '100.100.100.200',
    '192.0.0.192', '192.0.2.1', '198.18.0.1', '203.0.113.1', '224.0.0.1', '240.0.0.1', '255.255.255.255', '168.63.129.16',
    '::', '::1', 'fe80::1', 'fe80::1%eth0', 'fc00::1', 'fd00:ec2::254', 'fec0::1', 'ff02::1', '2001:db8::1', '100::1', '5f00::1', '3fff::1',
    '::ffff:127.0.0.1',
    '::ffff:8.8.8.8',
    '::127.0.0.1',
    '::8.8.8.8',
    '64:ff9b::127.0.0.1',
    '64:ff9b::808:808',
    '64:ff9b:1::1',
    '2002:7f00:1::',
    '2001::1',
    '::ffff:0:127.0.0.1',
    '', 'x', 'localhost', '8.8.8.8.8', '8.8.8.8/8'
  ]) t.equal(isPublicAddress(address), false, address)
  for (const address of ['8.8.8.8', '1.1.1.1', '172.15.0.1', '172.32.0.1', '100.63.0.1', '2001:4860:4860::8888', '2606:4700::1111']) {
    t.equal(isPublicAddress(address), true, address)
  }
  t.end()
})

t.test('one source is an IPv4 address, in either writing, or a /64 of IPv6', t => {
  const same = (a: string, b: string): unknown => t.equal(sourceOf(a), sourceOf(b), `${a} as ${b}`)
  const other = (a: string, b: string): unknown => t.not(sourceOf(a), sourceOf(b), `${a} not as ${b}`)
  same('::ffff:192.0.2.1', '192.0.2.1')
  same('::FFFF:c000:201', '192.0.2.1')
  other('192.0.2.1', '192.0.2.2')
  same('2001:db8:1:2::1', '2001:db8:1:2:ffff:ffff:ffff:ffff')
  same('2001:DB8:1:2::', '2001:db8:0001:0002:0:0:0:1')
  other('2001:db8:1:2::1', '2001:db8:1:3::1')
  other('::1', '1::1')
  other('', 'no address')
  t.end()
})
