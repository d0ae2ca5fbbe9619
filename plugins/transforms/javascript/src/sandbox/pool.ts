import { HEAVY_SLICES, HEAVY_SLICE_MS, OWN_CHILDREN, OWN_CHILD_IDLE_MS, SHARED_CHILDREN } from '../limits.ts';
import { Lane, type Program, type RunResult } from './lane.ts';

/** Below the router; a suspect also below the others. */
const SHARED_NICENESS = 5;
const OWN_NICENESS = 10;

interface Seat {
  readonly lane: Lane;
  heavySlices: number;
}

/**
 * The children of this process, shared by all instances. A program begins in a child that it shares; once it is a suspect,
 * it gets a child of its own and stays there for as long as it lives. When there are more suspects than such children,
 * suspects share with suspects. A lane without programs ends its child, so the last program that leaves leaves no process behind.
 *
 * A suspect is a program that spent its budget or its memory, brought its child down, or keeps its child busy.
 */
export class SandboxPool {
  readonly #shared: readonly Lane[];
  readonly #own: readonly Lane[];
  readonly #seats = new Map<Program, Seat>();

  constructor(
    sizes: { readonly shared: number; readonly own: number } = { shared: SHARED_CHILDREN, own: OWN_CHILDREN },
  ) {
    const inspect = (program: Program, result: RunResult): void => this.#inspect(program, result);
    const lanes = (count: number, niceness: number, idleMs: number | null): Lane[] =>
      Array.from({ length: count }, () => new Lane({ niceness, idleMs, inspect }));
    this.#shared = lanes(sizes.shared, SHARED_NICENESS, null);
    this.#own = lanes(sizes.own, OWN_NICENESS, OWN_CHILD_IDLE_MS);
  }

  /** The processes that run now. */
  get pids(): readonly number[] {
    return [...this.#shared, ...this.#own].flatMap(({ pid }) => (pid === undefined ? [] : [pid]));
  }

  /** Rejects with the signal's reason only, and only before the work began. */
  run(program: Program, text: string, patience: number, signal: AbortSignal): Promise<RunResult> {
    const seat = this.#seats.get(program) ?? this.#enter(program, this.#shared);
    return seat.lane.run(program, text, patience, signal);
  }

  /** Puts a program, and what of it waits, where it can hold up nobody but other suspects. */
  isolate(program: Program): void {
    const seat = this.#seats.get(program);
    if (seat !== undefined && this.#own.includes(seat.lane)) return;
    const jobs = seat?.lane.surrender(program) ?? [];
    this.#enter(program, this.#own).lane.adopt(program, jobs);
    void seat?.lane.endIfUnused();
  }

  /** What still waits is answered as unavailable. Resolves when the process is gone, if nobody else uses it. */
  async leave(program: Program): Promise<void> {
    const seat = this.#seats.get(program);
    if (seat === undefined) return;
    this.#seats.delete(program);
    for (const job of seat.lane.surrender(program)) {
      job.resolve({ type: 'unavailable', detail: 'the transform was closed before the events had their turn' });
    }
    await seat.lane.endIfUnused();
  }

  #inspect(program: Program, result: RunResult): void {
    const seat = this.#seats.get(program);
    if (seat === undefined) return;
    const heavy = result.type === 'ran' && result.cpuMs > HEAVY_SLICE_MS;
    seat.heavySlices = heavy ? seat.heavySlices + 1 : 0;
    if (isGuilty(result) || seat.heavySlices >= HEAVY_SLICES) this.isolate(program);
  }

  #enter(program: Program, lanes: readonly Lane[]): Seat {
    const lane = lanes.reduce((least, other) => (other.programs.size < least.programs.size ? other : least));
    lane.adopt(program, []);
    const seat = { lane, heavySlices: 0 };
    this.#seats.set(program, seat);
    return seat;
  }
}

function isGuilty(result: RunResult): boolean {
  switch (result.type) {
    case 'ran':
      return result.end === 'timeout' || result.end === 'memory';
    case 'load-failed':
      return result.failure.reason === 'timeout' || result.failure.reason === 'memory';
    case 'died':
      return result.death === 'overdue' || result.death === 'memory' || result.death === 'crashed';
    case 'unavailable':
      return false;
  }
}
