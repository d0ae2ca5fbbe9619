import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { SwitchyardError } from '../errors.ts';

type Address = ipaddr.IPv4 | ipaddr.IPv6;
type Range = readonly [network: Address, bits: number];

/** The ranges that an operator opened besides the public Internet. */
export type AllowList = readonly Range[];

/**
 * Where clouds hand out credentials. No allow-list opens these: an operator who allows a wide range means machines of theirs,
 * not the keys to the account that the router itself runs under.
 */
const METADATA: AllowList = [
  '169.254.169.0/24', // AWS, Google, Azure, Oracle, OpenStack and others
  '169.254.170.0/24', // AWS: credentials of ECS tasks and EKS pods
  '169.254.0.23/32', // Tencent
  '169.254.42.42/32', // Scaleway
  '100.100.100.200/32', // Alibaba
  '168.63.129.16/32', // Azure's host agent: a public address
  '192.0.0.192/32', // Oracle Classic
  'fd00:ec2::/32', // AWS
  'fd20:ce::254/128', // Google
  'fd00:42::42/128', // Scaleway
  'fe80::a9fe:a9fe/128', // OpenStack
].map(parseRange);

/** The only part of IPv6 that is given out as public addresses. What lies outside may mean anything tomorrow. */
const GLOBAL_V6 = parseRange('2000::/3');

const COMPATIBLE = parseRange('::/96');
const ISATAP_MARK = 0x5efe;

/**
 * Reads the operator's CIDR ranges. Throws with the range that is wrong: a typing error that opened more, or less, than was
 * meant must not pass silently.
 */
export function parseAllowList(ranges: readonly string[]): AllowList {
  return ranges.map(parseRange);
}

function parseRange(text: string): Range {
  const [host = '', prefix] = text.trim().split('/', 2);
  const family = isIP(host);
  if (family === 0 || host.includes('%')) {
    throw invalidRange(`"${text}" is not an IP range. Write it like 10.0.0.0/8 or fd00::/8.`);
  }
  const width = family === 4 ? 32 : 128;
  const bits = prefix === undefined ? width : /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN;
  if (!(bits >= 0 && bits <= width) || text.split('/').length > 2) {
    throw invalidRange(`"${text}" is not an IP range: the number after the slash goes from 0 to ${width}.`);
  }
  const network = ipaddr.parse(host);
  const cidr = `${host}/${bits}`;
  const first = family === 4 ? ipaddr.IPv4.networkAddressFromCIDR(cidr) : ipaddr.IPv6.networkAddressFromCIDR(cidr);
  if (first.toNormalizedString() !== network.toNormalizedString()) {
    throw invalidRange(`"${text}" is not the beginning of a range. Did you mean ${first.toString()}/${bits}?`);
  }
  return [network, bits];
}

function invalidRange(message: string): SwitchyardError {
  return new SwitchyardError('SETTING_INVALID', message);
}

/**
 * Why an address may not be reached, as words that finish "it is …", or null when it may.
 *
 * Denies by default: an address passes when it is global unicast and carries no other address inside, or when the operator
 * opened its range. Forms that carry an IPv4 address (mapped, compatible, NAT64, 6to4, Teredo, ISATAP, SIIT) are never public
 * by themselves, since a gateway may turn them into that IPv4 address; when the operator opens such a range (NAT64 networks
 * need 64:ff9b::/96), the address inside must be one that may be reached too.
 */
export function refuseAddress(text: string, allow: AllowList): string | null {
  if (isIP(text) === 0) return 'not an IP address';
  const address = ipaddr.parse(text);
  const inside = address instanceof ipaddr.IPv6 ? carriedAddresses(address) : [];
  if ([address, ...inside].some((each) => isWithin(each, METADATA))) return 'a cloud metadata address';

  const isMapped = address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress();
  // A mapped address is another spelling of the IPv4 address: opening the one opens the other.
  const isOpened = isWithin(address, allow) || (isMapped && inside.every((each) => isWithin(each, allow)));
  if (isOpened && inside.every((each) => isGlobal(each) || isWithin(each, allow))) return null;

  if (inside.length > 0) return 'an IPv6 address that stands for an IPv4 address';
  return isGlobal(address) ? null : (DESCRIPTIONS.get(address.range()) ?? 'a reserved address');
}

function isWithin(address: Address, ranges: AllowList): boolean {
  return ranges.some(([network, bits]) => network.kind() === address.kind() && address.match(network, bits));
}

function isGlobal(address: Address): boolean {
  if (address instanceof ipaddr.IPv6 && !isWithin(address, [GLOBAL_V6])) return false;
  return address.range() === 'unicast';
}

/** Every IPv4 address that a gateway, a tunnel or the kernel could take out of an IPv6 address. */
function carriedAddresses(address: ipaddr.IPv6): readonly ipaddr.IPv4[] {
  const { parts } = address;
  const range = address.range();
  const last = ipv4At(parts, 6);
  if (range === 'ipv4Mapped' || range === 'rfc6145' || range === 'rfc6052') return [last];
  if (range === '6to4') return [ipv4At(parts, 1)];
  // The client's address is stored inverted, the server's is not.
  if (range === 'teredo')
    return [
      ipv4At(parts, 2),
      ipv4At(
        parts.map((part) => part ^ 0xffff),
        6,
      ),
    ];
  if (isWithin(address, [COMPATIBLE]) && range !== 'unspecified' && range !== 'loopback') return [last];
  if (parts[5] === ISATAP_MARK && (parts[4] === 0 || parts[4] === 0x200)) return [last];
  return [];
}

function ipv4At(parts: readonly number[], index: number): ipaddr.IPv4 {
  const high = parts[index] ?? 0;
  const low = parts[index + 1] ?? 0;
  return new ipaddr.IPv4([high >> 8, high & 0xff, low >> 8, low & 0xff]);
}

const THIS_MACHINE = 'an address of this machine itself';
const PRIVATE = 'a private address';

/** By the names that ipaddr.js gives to ranges; the rest is reserved for one purpose or another. */
const DESCRIPTIONS: ReadonlyMap<string, string> = new Map([
  ['loopback', THIS_MACHINE],
  ['unspecified', THIS_MACHINE],
  ['private', PRIVATE],
  ['uniqueLocal', PRIVATE],
  ['carrierGradeNat', PRIVATE],
  ['linkLocal', 'a link-local address'],
  ['multicast', 'a multicast address'],
  ['broadcast', 'a broadcast address'],
]);
