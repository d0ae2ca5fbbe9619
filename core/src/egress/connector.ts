import type { LookupAddress } from 'node:dns';
import { isIP, type LookupFunction, type Socket } from 'node:net';
import { callbackify } from 'node:util';
import { buildConnector } from 'undici';
import { refuseAddress, type AllowList } from './address.ts';
import type { Lookup } from './resolver.ts';
import { blocked } from './url.ts';

/**
 * Opens connections, and none to an address that may not be reached. Three checks, because each alone has a hole:
 * - a literal address, before connecting: Node asks no look-up function for those;
 * - every address that a name has, at look-up: one that is refused refuses all of them, so that a name cannot mix a public address
 *   with a private one and wait for the second attempt. Node then connects to exactly the addresses that were checked, so that a
 *   name which means something else a moment later gains nothing;
 * - the address at the other end of the connected socket.
 *
 * A pool keeps connections of one origin only, so what was checked when a socket was opened holds for every request on it.
 */
export function guardedConnector(allow: AllowList, lookup: Lookup, timeoutMs: number): buildConnector.connector {
  const connect = buildConnector({ timeout: timeoutMs, allowH2: false, lookup: guardedLookup(allow, lookup) });
  return (options, callback) => {
    if (isIP(options.hostname) !== 0) {
      const refusal = refuseAddress(options.hostname, allow);
      if (refusal !== null) {
        // Later, as any other failure to connect: undici is still busy with the dispatch that led here.
        process.nextTick(callback, blocked(`${options.hostname} is ${refusal}`), null);
        return;
      }
    }
    connect(options, (...outcome) => {
      const [error, socket] = outcome;
      if (error !== null) {
        callback(error, null);
        return;
      }
      const problem = peerProblem(socket, allow);
      if (problem === null) {
        callback(null, socket);
        return;
      }
      socket.destroy();
      callback(problem, null);
    });
  };
}

function peerProblem(socket: Socket, allow: AllowList): Error | null {
  const { remoteAddress } = socket;
  if (remoteAddress === undefined) {
    return Object.assign(new Error('the connection was closed as soon as it was open'), { code: 'ECONNRESET' });
  }
  const refusal = refuseAddress(remoteAddress, allow);
  return refusal === null ? null : blocked(`the host at the other end has ${refusal}`);
}

function guardedLookup(allow: AllowList, lookup: Lookup): LookupFunction {
  const ask = callbackify(async (hostname: string) => checkedAddresses(hostname, await lookup(hostname), allow));
  return (hostname, options, callback) => {
    ask(hostname, (error, addresses) => {
      if (error !== null) callback(error, '');
      else if (options.all) callback(null, addresses);
      else callback(null, addresses[0].address, addresses[0].family);
    });
  };
}

function checkedAddresses(
  hostname: string,
  addresses: readonly string[],
  allow: AllowList,
): [LookupAddress, ...LookupAddress[]] {
  for (const address of addresses) {
    const refusal = refuseAddress(address, allow);
    // The address itself stays unsaid: which inside host a name points to is not everybody's to know.
    if (refusal !== null) throw blocked(`the name ${hostname} leads to ${refusal}`);
  }
  const [first, ...others] = addresses.map((address) => ({ address, family: isIP(address) }));
  if (first === undefined) throw Object.assign(new Error('the name has no address'), { code: 'ENOTFOUND' });
  return [first, ...others];
}
