/**
 * Measures contestants in turn: short slices, round after round, so that what a disk or a neighbour
 * does meanwhile falls on all of them alike.
 *
 * Invariant: a sample is the time of one `run`, never an average of several; the begin of each
 * slice is dropped. A contestant that fails is out and the others go on. Prints nothing.
 */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { Dice } from './atlas-bed.ts';
import type { Contestant, Effort, Running } from './contestant.ts';
import { type Spread, spreadOf } from './spread.ts';

/** What was measured of one contestant. */
export interface Measured {
  readonly contestant: Contestant;
  /** Milliseconds of one operation, over all slices. */
  readonly time: Spread;
  /** Operations in a second, slice by slice. */
  readonly rate: Spread;
  readonly note?: string;
  /** Why it is out; its figures are NaN then. */
  readonly failure?: string;
}

class Entry {
  readonly contestant: Contestant;
  readonly times: number[] = [];
  readonly rates: number[] = [];
  running: Running | undefined;
  note: string | undefined;
  failure: string | undefined;

  constructor(contestant: Contestant) {
    this.contestant = contestant;
  }

  /** Does `work`; where that fails the contestant is out. */
  async attempt(work: () => void | Promise<void>): Promise<void> {
    if (this.failure !== undefined) return;
    try {
      await work();
    } catch (error) {
      this.failure = error instanceof Error ? error.message : String(error);
    }
  }

  async slice(effort: Effort): Promise<void> {
    const { clients = 1 } = this.contestant;
    const running = this.running as Running;
    if (clients === 1) await this.#alone(running, effort);
    else await this.#sideBySide(running, effort, clients);
    await setImmediate();
    if (this.contestant.kind === 'peer') await quiet();
  }

  async #alone(running: Running, effort: Effort): Promise<void> {
    if (effort.warmUp > 0 || this.times.length === 0) {
      const warm = performance.now() + effort.warmUp;
      do await this.#once(running);
      while (performance.now() < warm);
    }
    const { operations = 1 } = this.contestant;
    const until = performance.now() + effort.slice;
    let count = 0;
    let total = 0;
    do {
      const time = await this.#once(running);
      this.times.push(time);
      total += time;
      count += 1;
    } while (performance.now() < until && count < (effort.samplesMax ?? Number.POSITIVE_INFINITY));
    this.rates.push((count * operations * 1e3) / total);
  }

  /** Milliseconds of one `run`. */
  #once(running: Running): number | Promise<number> {
    const prepared = running.before?.();
    if (prepared instanceof Promise) return prepared.then(() => this.#timed(running));
    return this.#timed(running);
  }

  #timed(running: Running): number | Promise<number> {
    const from = performance.now();
    const result = running.run(0);
    if (result instanceof Promise) return result.then(() => performance.now() - from);
    return performance.now() - from;
  }

  async #sideBySide(running: Running, effort: Effort, clients: number): Promise<void> {
    const from = performance.now() + effort.warmUp;
    const until = from + effort.slice;
    let count = 0;
    const loop = async (client: number): Promise<void> => {
      for (;;) {
        const began = performance.now();
        if (began >= until) return;
        await running.run(client);
        const ended = performance.now();
        if (ended < from || ended >= until) continue;
        count += 1;
        if (began >= from) this.times.push(ended - began);
      }
    };
    await Promise.all(Array.from({ length: clients }, (_, client) => loop(client)));
    this.rates.push((count * 1e3) / effort.slice);
  }

  measured(): Measured {
    const { contestant, note, failure } = this;
    const { operations = 1 } = contestant;
    const counts = failure === undefined;
    return {
      contestant,
      time: spreadOf(counts ? this.times : [], 1 / operations),
      rate: spreadOf(counts ? this.rates : []),
      ...(note === undefined ? {} : { note }),
      ...(failure === undefined ? {} : { failure }),
    };
  }
}

/** Milliseconds: how often it is looked, what counts as idle in that time, how long at most. */
const quietLook = 20;
const quietBusy = 2;
const quietMax = 5_000;

/** Waits until a peer's own threads have nothing left to do: trees of runs are merged by them. */
async function quiet(): Promise<void> {
  const until = performance.now() + quietMax;
  let before = process.cpuUsage();
  for (let idle = 0; idle < 2 && performance.now() < until; ) {
    await setTimeout(quietLook);
    const { user, system } = process.cpuUsage(before);
    idle = user + system < quietBusy * 1e3 ? idle + 1 : 0;
    before = process.cpuUsage();
  }
}

function shuffled(entries: readonly Entry[], dice: Dice): Entry[] {
  const rest = [...entries];
  return entries.map(() => rest.splice(dice.next(rest.length), 1)[0] as Entry);
}

/** Measures every contestant, each in a folder of its own below `folder`. */
export async function measureInTurn(
  contestants: readonly Contestant[],
  effort: Effort,
  folder: string,
): Promise<Measured[]> {
  const entries = contestants.map((contestant) => new Entry(contestant));
  for (const [at, entry] of entries.entries()) {
    await entry.attempt(async () => {
      const own = join(folder, String(at));
      mkdirSync(own, { recursive: true });
      entry.running = await entry.contestant.open(own);
    });
  }
  const dice = new Dice();
  for (let round = 0; round < effort.rounds; round++) {
    // In another order each time, so that nobody always follows the same neighbour.
    for (const entry of shuffled(entries, dice)) await entry.attempt(() => entry.slice(effort));
  }
  for (const entry of entries) {
    await entry.attempt(() => {
      entry.note = entry.running?.note?.();
    });
    await entry.attempt(async () => await entry.running?.close?.());
  }
  return entries.map((entry) => entry.measured());
}
