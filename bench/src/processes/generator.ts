import { connect, type Socket } from 'node:net';
import { MessageCutter } from '../http-framing.ts';
import type { Handler } from './handler.ts';

/** Requests over connections that stay open, each sending its next one when it has its answer. */
export interface Load {
  readonly port: number;
  /** Whole requests as they go over the wire; connections begin at different ones and take turns. */
  readonly requests: readonly string[];
  readonly connections: number;
  readonly forMs: number;
  /** The status of every answer; any other is a failure of the run. */
  readonly status: number;
}

export interface LoadResult {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Microseconds of CPU that the generator itself used for a request. */
  readonly generatorCpuMicros: number;
}

const PATIENCE_MS = 10_000;

/**
 * The load generator. It speaks over raw sockets because it runs beside what it measures: an HTTP client costs as much CPU as the server that it asks, and on few
 * cores that would be measured instead.
 */
export function openGenerator(): Handler {
  return (request) => run(request as Load);
}

async function run(load: Load): Promise<LoadResult> {
  const requests = load.requests.map((request) => Buffer.from(request, 'utf8'));
  const latencies: number[] = [];
  const cpu = process.cpuUsage();
  const started = performance.now();
  const until = started + load.forMs;
  await Promise.all(
    Array.from({ length: load.connections }, (_, index) => connection(load, requests, index, until, latencies)),
  );
  const seconds = (performance.now() - started) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  latencies.sort((a, b) => a - b);
  const quantile = (part: number): number =>
    latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * part))] ?? 0;
  return {
    perSecond: latencies.length / seconds,
    p50Ms: quantile(0.5),
    p99Ms: quantile(0.99),
    generatorCpuMicros: (user + system) / latencies.length,
  };
}

/** Resolves when the time is up and the last answer is there. */
function connection(
  { port, status }: Load,
  requests: readonly Buffer[],
  first: number,
  until: number,
  latencies: number[],
): Promise<void> {
  const right = `HTTP/1.1 ${status} `;
  return new Promise((resolve, reject) => {
    let turn = first;
    let sentAt = 0;
    let socket: Socket;
    let over = false;
    const end = (error?: Error): void => {
      over = true;
      clearTimeout(late);
      socket.destroy();
      if (error === undefined) resolve();
      else reject(error);
    };
    const late = setTimeout(
      () => end(new Error('An answer did not come in time.')),
      until - performance.now() + PATIENCE_MS,
    );
    const send = (): void => {
      sentAt = performance.now();
      socket.write(requests[turn % requests.length] ?? '');
      turn += 1;
    };
    const onAnswer = (head: string): void => {
      const now = performance.now();
      latencies.push(now - sentAt);
      if (!head.startsWith(right)) end(new Error(`A request was answered: ${head.slice(0, 300)}`));
      else if (now >= until) end();
      // A server may end a connection after so many requests; it says so in the last answer.
      else if (head.includes('\r\nconnection: close') || head.includes('\r\nConnection: close')) open();
      else send();
    };
    const open = (): void => {
      const mine = connect({ port, host: '127.0.0.1', noDelay: true }, send);
      socket?.destroy();
      socket = mine;
      const cutter = new MessageCutter(onAnswer);
      mine.on('data', (chunk: Buffer) => {
        if (!over && mine === socket) cutter.push(chunk);
      });
      mine.on('error', (error) => {
        if (!over && mine === socket) end(error);
      });
      mine.on('close', () => {
        if (!over && mine === socket) end(new Error('The server closed a connection without an answer.'));
      });
    };
    open();
  });
}
