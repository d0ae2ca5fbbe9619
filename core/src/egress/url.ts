import { isIP } from 'node:net';
import { ConfigError } from '@switchyard/plugin-sdk';
import { refuseAddress, type AllowList } from './address.ts';

/**
 * Ports on which other protocols listen that would read an HTTP request as commands (mail, FTP, IRC, …): the list of the
 * Fetch standard, section "port blocking", so that what a browser may reach is what we may reach.
 */
const FORBIDDEN_PORTS: ReadonlySet<string> = new Set(
  (
    '1 7 9 11 13 15 17 19 20 21 22 23 25 37 42 43 53 69 77 79 87 95 101 102 103 104 109 110 111 113 115 117 119 123 135 137 ' +
    '139 143 161 179 389 427 465 512 513 514 515 526 530 531 532 540 548 554 556 563 587 601 636 989 990 993 995 1719 1720 ' +
    '1723 2049 3659 4045 4190 5060 5061 6000 6566 6665 6666 6667 6668 6669 6679 6697 10080'
  ).split(' '),
);

/** Names that only ever mean a cloud's metadata service. */
const METADATA_NAMES: ReadonlySet<string> = new Set([
  'metadata.google.internal',
  'metadata.goog',
  'instance-data.ec2.internal',
  'metadata.tencentyun.com',
]);

/** Which addresses stand behind `localhost`: opening either opens the name. */
const LOOPBACK = ['127.0.0.1', '::1'];

/**
 * The check for the moment when an address is saved: what is wrong with it, as a sentence for its owner, or null. It looks at the host as the
 * WHATWG URL parser normalises it (`2130706433`, `0x7f.1` and `①②⑦.0.0.1` are all `127.0.0.1`), and asks no name server:
 * what a name means is checked at every connection.
 */
export function checkUrl(url: string, allow: AllowList): string | null {
  try {
    checkOrigin(parseTarget(url), allow);
    return null;
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
}

/** The part of the check that every request repeats, since the path is its own. */
export function parseTarget(url: string): URL {
  if (!URL.canParse(url)) throw invalid('The address is not a URL. Write it like https://example.com/hook.');
  const target = new URL(url);
  if (target.protocol !== 'https:' && target.protocol !== 'http:') {
    throw invalid(`The address begins with "${target.protocol}": only http: and https: can be reached.`);
  }
  // Not echoed: what stands there is a password.
  if (target.username !== '' || target.password !== '') {
    throw invalid('The address holds a user name or password. Take it out and send it as a header.');
  }
  return target;
}

/** The part that is the same for every request to one origin. Throws `ConfigError`. */
export function checkOrigin(target: URL, allow: AllowList): void {
  if (FORBIDDEN_PORTS.has(target.port)) {
    throw invalid(`The address uses port ${target.port}, which belongs to another protocol than HTTP.`);
  }
  const host = bareHost(target.hostname);
  if (isIP(host) !== 0) {
    const refusal = refuseAddress(host, allow);
    if (refusal !== null) throw blocked(`${host} is ${refusal}`);
    return;
  }
  const name = host.endsWith('.') ? host.slice(0, -1) : host;
  if (METADATA_NAMES.has(name)) throw blocked(`${name} is a cloud metadata service`);
  if (name === 'localhost' || name.endsWith('.localhost')) {
    const refusals = LOOPBACK.map((address) => refuseAddress(address, allow));
    if (!refusals.includes(null)) throw blocked(`${name} is this machine itself`);
  }
}

/** `[::1]` as `::1`. */
function bareHost(hostname: string): string {
  return hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
}

/** `what` finishes without a full stop: the sentence goes on with what to do. */
export function blocked(what: string): ConfigError {
  return new ConfigError(
    `Refused to connect: ${what}. Requests may only go to public addresses, unless the operator lists the range in EGRESS_ALLOW.`,
    { code: 'ADDRESS_BLOCKED' },
  );
}

function invalid(message: string): ConfigError {
  return new ConfigError(message, { code: 'URL_INVALID' });
}
