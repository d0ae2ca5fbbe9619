/**
 * Addresses that an outgoing request must never reach, as data: whoever finds a hole adds a line. Every case is tried as it
 * would be saved, as a request, and, where it is an address, as the answer of a name server.
 */

/** Both ends of every IPv4 range that is not the public Internet (IANA's special-purpose registry), and neighbours inside them. */
const RESERVED_V4: Readonly<Record<string, readonly string[]>> = {
  'this network, 0/8': ['0.0.0.0', '0.0.0.1', '0.255.255.255'],
  'private, 10/8': ['10.0.0.0', '10.1.2.3', '10.255.255.255'],
  'carrier-grade NAT, 100.64/10': ['100.64.0.0', '100.100.100.200', '100.127.255.255'],
  'loopback, 127/8': ['127.0.0.0', '127.0.0.1', '127.1.1.1', '127.255.255.255'],
  'link-local, 169.254/16': ['169.254.0.0', '169.254.169.254', '169.254.170.2', '169.254.255.255'],
  'private, 172.16/12': ['172.16.0.0', '172.17.0.1', '172.31.255.255'],
  'protocol assignments, 192.0.0/24': ['192.0.0.0', '192.0.0.192', '192.0.0.255'],
  'documentation, 192.0.2/24': ['192.0.2.0', '192.0.2.255'],
  '6to4 relays, 192.88.99/24': ['192.88.99.0', '192.88.99.255'],
  'private, 192.168/16': ['192.168.0.0', '192.168.1.1', '192.168.255.255'],
  'benchmarks, 198.18/15': ['198.18.0.0', '198.19.255.255'],
  'documentation, 198.51.100/24': ['198.51.100.0', '198.51.100.255'],
  'documentation, 203.0.113/24': ['203.0.113.0', '203.0.113.255'],
  'multicast, 224/4': ['224.0.0.0', '224.0.0.1', '239.255.255.255'],
  'reserved, 240/4': ['240.0.0.0', '255.255.255.254'],
  broadcast: ['255.255.255.255'],
  "Azure's host agent": ['168.63.129.16'],
};

const RESERVED_V6: Readonly<Record<string, readonly string[]>> = {
  unspecified: ['::'],
  loopback: ['::1', '0:0:0:0:0:0:0:1', '0000:0000:0000:0000:0000:0000:0000:0001'],
  'outside of what is given out': ['1::1', '200::1', '400::1', '1000::1', '4000::1', '8000::1', 'e000::1', 'fe00::1'],
  'IPv4-compatible, ::/96': ['::7f00:1', '::a00:1', '::a9fe:a9fe', '::808:808'],
  'IPv4-mapped, ::ffff:0:0/96': ['::ffff:7f00:1', '::ffff:a9fe:a9fe', '::ffff:808:808', '0:0:0:0:0:ffff:7f00:1'],
  'SIIT, ::ffff:0:0:0/96': ['::ffff:0:7f00:1', '::ffff:0:a9fe:a9fe', '::ffff:0:808:808'],
  'NAT64, 64:ff9b::/96': ['64:ff9b::', '64:ff9b::7f00:1', '64:ff9b::a9fe:a9fe', '64:ff9b::808:808'],
  'NAT64, 64:ff9b:1::/48': ['64:ff9b:1::', '64:ff9b:1::7f00:1', '64:ff9b:1:a9fe:a9:fe00::', '64:ff9b:1:ffff::1'],
  'discard, 100::/64': ['100::', '100::1', '100::ffff:ffff:ffff:ffff', '100:0:0:1::1'],
  'Teredo, 2001::/32': ['2001::', '2001:0:7f00:1::', '2001:0:4136:e378:8000:63bf:80ff:fffe', '2001::1'],
  'benchmarks, 2001:2::/48': ['2001:2::', '2001:2::1'],
  'AMT, 2001:3::/32': ['2001:3::1'],
  'AS112, 2001:4:112::/48': ['2001:4:112::1', '2620:4f:8000::1'],
  'ORCHID, 2001:10::/28 and 2001:20::/28': ['2001:10::1', '2001:20::1', '2001:2f:ffff::1'],
  'drone tags, 2001:30::/28': ['2001:30::1'],
  'documentation, 2001:db8::/32 and 3fff::/20': ['2001:db8::', '2001:db8::1', '3fff::1', '3fff:fff::1'],
  '6to4, 2002::/16': ['2002::', '2002:7f00:1::', '2002:a9fe:a9fe::', '2002:c0a8:101::1', '2002:808:808::'],
  'segment routing, 5f00::/16': ['5f00::', '5f00::1', '5f00:ffff::1'],
  'unique local, fc00::/7': ['fc00::', 'fc00::1', 'fd00::1', 'fd00:ec2::254', 'fd20:ce::254', 'fdff:ffff::1'],
  'link-local, fe80::/10': ['fe80::', 'fe80::1', 'fe80::a9fe:a9fe', 'febf:ffff::1'],
  'site-local, fec0::/10': ['fec0::', 'fec0::1', 'feff:ffff::1'],
  'multicast, ff00::/8': ['ff00::', 'ff02::1', 'ff05::2', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  'ISATAP under a public prefix': ['2a00:1450::5efe:a00:1', '2a00:1450::200:5efe:7f00:1'],
};

/** Other spellings, as a URL's host. The URL parser turns each into an address of the lists above. */
const SPELLINGS: readonly string[] = [
  // 127.0.0.1
  '2130706433',
  '017700000001',
  '0x7f000001',
  '0X7F000001',
  '0177.0.0.1',
  '0177.0.0.01',
  '0x7f.0.0.1',
  '0x7f.0x0.0x0.0x1',
  '0x7f.1',
  '127.1',
  '127.0.1',
  '127.0.0.1.',
  '127.1.',
  '0x7f.1.',
  '127.000.000.001',
  '%31%32%37.0.0.1',
  '127%2e0%2e0%2e1',
  '①②⑦.⓪.⓪.①',
  '１２７.０.０.１',
  '127。0。0。1',
  '127．0．0．1',
  '127｡0｡0｡1',
  '0x7f。1',
  '𝟏𝟐𝟕.𝟎.𝟎.𝟏',
  // 0.0.0.0
  '0',
  '0x0',
  '00000',
  '0.0',
  '⓪',
  // 169.254.169.254
  '2852039166',
  '0xa9fea9fe',
  '025177524776',
  '0251.0376.0251.0376',
  '0xa9.0xfe.0xa9.0xfe',
  '169.254.43518',
  '169.16689662',
  '169.254.169.254.',
  '①⑥⑨.②⑤④.①⑥⑨.②⑤④',
  // 10.0.0.1, 192.168.1.1, 172.16.0.1
  '10.1',
  '167772161',
  '012.0.0.1',
  '0xa.0.0.1',
  '192.168.257',
  '3232235777',
  '0xc0.0xa8.1.1',
  '0300.0250.1.1',
  '172.1048577',
  '2886729729',
  // IPv6
  '[::1]',
  '[0:0:0:0:0:0:0:1]',
  '[::0001]',
  '[::]',
  '[0::0]',
  '[::127.0.0.1]',
  '[::ffff:127.0.0.1]',
  '[::FFFF:127.0.0.1]',
  '[0:0:0:0:0:ffff:127.0.0.1]',
  '[::ffff:169.254.169.254]',
  '[::ffff:0:127.0.0.1]',
  '[64:ff9b::127.0.0.1]',
  '[64:ff9b::169.254.169.254]',
  '[64:FF9B::10.0.0.1]',
  '[::ffff:10.0.0.1]',
  '[::ffff:192.168.1.1]',
  '[FD00:EC2::254]',
  '[FE80::1]',
  // Names that are always this machine, or always a cloud's
  'localhost',
  'LOCALHOST',
  'localhost.',
  'a.localhost',
  'a.b.localhost.',
  'ｌｏｃａｌｈｏｓｔ',
  'lo%63alhost',
  'metadata.google.internal',
  'Metadata.Google.Internal.',
];

/** Whole URLs that are wrong whatever their host is. */
export const HOSTILE_URLS: readonly string[] = [
  'file:///etc/passwd',
  'ftp://example.com/',
  'gopher://example.com/_x',
  'dict://example.com:11211/stats',
  'ldap://example.com/',
  'data:text/plain,hello',
  'javascript:alert(1)',
  'blob:https://example.com/1',
  'ws://example.com/',
  'wss://example.com/',
  'unix:/var/run/docker.sock',
  'http+unix://%2Fvar%2Frun%2Fdocker.sock/info',
  'jar:http://example.com!/',
  'about:blank',
  '//example.com/',
  '/etc/passwd',
  'example.com',
  '',
  ' ',
  'http://',
  'http:///',
  'https://exa mple.com/',
  'http://[::1',
  'http://[::1%25eth0]/',
  'http://[fe80::1%25lo]/',
  'http://256.256.256.256/',
  'http://127.0.0.0.1/',
  'http://0x100000000/',
  'http://example.com:65536/',
  'http://user@example.com/',
  'http://user:password@example.com/',
  'http://:password@example.com/',
  'http://example.com@127.0.0.1/',
  'http://127.0.0.1@example.com/',
  'http://example.com%40127.0.0.1/',
  'http://127.0.0.1\\@example.com/',
  'http://127.0.0.1#@example.com/',
  'http://127.0.0.1?@example.com/',
  'http:127.0.0.1/',
  'http:/127.0.0.1/',
  'http:\\\\127.0.0.1\\',
  'http://127.0.0.1%00.example.com/',
  'ht\ttp://127.0.0.1/',
  'http://127.\t0.0.1/',
  'http://127.0.0.1\n/',
  '\u0000http://127.0.0.1/',
  'http://example.com:22/',
  'http://example.com:25/',
  'https://example.com:465/',
  'http://example.com:6667/',
  'http://example.com:1719/',
  'http://example.com:2049/',
  'http://example.com:6000/',
];

export interface Case {
  readonly what: string;
  readonly value: string;
}

function cases(table: Readonly<Record<string, readonly string[]>>): Case[] {
  return Object.entries(table).flatMap(([what, values]) => values.map((value) => ({ what, value })));
}

/** `7f00:1` for 127.0.0.1. */
function hex(v4: string): string {
  const [a = 0, b = 0, c = 0, d = 0] = v4.split('.').map(Number);
  return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
}

/** `80ff:fffe` for 127.0.0.1: how Teredo hides its client. */
function inverted(v4: string): string {
  return hex(
    v4
      .split('.')
      .map((part) => 255 - Number(part))
      .join('.'),
  );
}

const WRAPPED_V4 = cases(RESERVED_V4).flatMap(({ what, value }) => [
  { what: `${what}, mapped`, value: `::ffff:${hex(value)}` },
  { what: `${what}, compatible`, value: `::${hex(value)}` },
  { what: `${what}, NAT64`, value: `64:ff9b::${hex(value)}` },
  { what: `${what}, 6to4`, value: `2002:${hex(value)}::1` },
  { what: `${what}, Teredo client`, value: `2001:0:808:808:8000:63bf:${inverted(value)}` },
]);

/** As a name server would answer. */
export const HOSTILE_ADDRESSES: readonly Case[] = [...cases(RESERVED_V4), ...cases(RESERVED_V6), ...WRAPPED_V4];

/** As a URL's host. */
export const HOSTILE_HOSTS: readonly Case[] = [
  ...HOSTILE_ADDRESSES.map(({ what, value }) => ({ what, value: value.includes(':') ? `[${value}]` : value })),
  ...SPELLINGS.map((value) => ({ what: 'spelling', value })),
];

/** No allow-list opens these. */
export const METADATA_ADDRESSES: readonly string[] = [
  '169.254.169.254',
  '169.254.170.2',
  '169.254.170.23',
  '169.254.0.23',
  '169.254.42.42',
  '100.100.100.200',
  '168.63.129.16',
  '192.0.0.192',
  'fd00:ec2::254',
  'fd00:ec2::23',
  'fd20:ce::254',
  'fd00:42::42',
  'fe80::a9fe:a9fe',
  '::ffff:169.254.169.254',
  '::a9fe:a9fe',
  '::ffff:0:169.254.169.254',
  '64:ff9b::a9fe:a9fe',
  '64:ff9b:1::a9fe:a9fe',
  '2002:a9fe:a9fe::',
  '2001:0:a9fe:a9fe::',
  '2001:0:808:808::5601:5601',
];

/** The other side of the lists: a guard that refuses everything would pass them. */
export const PUBLIC_ADDRESSES: readonly string[] = [
  '1.0.0.1',
  '8.8.8.8',
  '9.255.255.255',
  '11.0.0.0',
  '100.63.255.255',
  '100.128.0.0',
  '126.255.255.255',
  '128.0.0.1',
  '168.63.129.17',
  '169.253.255.255',
  '169.255.0.0',
  '172.15.255.255',
  '172.32.0.0',
  '192.0.1.0',
  '192.167.255.255',
  '192.169.0.0',
  '198.17.255.255',
  '198.20.0.0',
  '203.0.114.0',
  '223.255.255.255',
  '2001:4860:4860::8888',
  '2606:4700:4700::1111',
  '2a00:1450:4001:81b::200e',
  '2600::',
  '2003::1',
  '3000::1',
];
