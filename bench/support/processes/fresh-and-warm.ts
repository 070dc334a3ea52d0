/**
 * Contestants in processes of their own, measured twice: the first runs of a new process, which its
 * engine has not compiled yet, and runs of a process that has done thousands.
 *
 * Invariant: contestants take turns, in another order in each round. Fresh: a round starts a process
 * for each contestant, which makes its first runs and ends. Warm: the processes of all contestants
 * are open together and have short slices in turn. Each process has a new folder.
 */

import { join } from 'node:path';
import { Dice } from '../atlas-bed.ts';
import type { Contestant, Effort, SliceEffort } from '../contestant.ts';
import { removeFolder } from '../disk-folder.ts';
import { countText, plural } from '../figures.ts';
import { type Measured, measuredOf } from '../measured.ts';
import type { Measurable } from '../open-contestant.ts';
import { Entry, openAll, shuffled, takeTurns } from '../turns.ts';

export interface FreshEffort {
  /** Processes of each contestant. */
  readonly processes: number;
  /** Runs of each process; all of them are counted. */
  readonly runs: number;
}

export interface WarmEffort extends Effort {
  /** Processes of each contestant, one after the other. */
  readonly processes: number;
  /** Runs of a process before its first slice. */
  readonly runsBefore: number;
}

/** Where a contestant runs. */
export type Started = (contestant: Contestant) => Measurable;

/** What all processes of one contestant gave. */
class Lives {
  readonly contestant: Contestant;
  readonly #lives: Entry[] = [];
  readonly #start: Started;

  constructor(contestant: Contestant, start: Started) {
    this.contestant = contestant;
    this.#start = start;
  }

  get failed(): boolean {
    return this.#lives.at(-1)?.outcome.failure !== undefined;
  }

  begin(): Entry {
    const life = new Entry(this.contestant, this.#start(this.contestant));
    this.#lives.push(life);
    return life;
  }

  measured(): Measured {
    const slices = this.#lives.map((life) => life.slices);
    return measuredOf(this.contestant, slices, this.#lives.at(-1)?.outcome);
  }
}

/** A slice of the first runs, all of them counted. */
function firstRuns(runs: number): SliceEffort {
  return { slice: Number.POSITIVE_INFINITY, warmUp: 0, warmUpRuns: 0, samplesMax: runs };
}

function livesOf(contestants: readonly Contestant[], start: Started): Lives[] {
  return contestants.map((contestant) => new Lives(contestant, start));
}

/** The first runs of new processes. */
export async function measureFresh(
  contestants: readonly Contestant[],
  { processes, runs }: FreshEffort,
  { start, folder }: { start: Started; folder: string },
): Promise<Measured[]> {
  const all = livesOf(contestants, start);
  const dice = new Dice();
  for (let round = 0; round < processes; round++) {
    for (const lives of shuffled(all, dice)) {
      // A contestant that failed once is out.
      if (lives.failed) continue;
      const life = lives.begin();
      const own = join(folder, 'fresh');
      await life.open(own);
      await life.slice(firstRuns(runs));
      await life.close();
      removeFolder(own);
    }
  }
  return all.map((lives) => lives.measured());
}

/** Runs of processes that have done `runsBefore`. */
export async function measureWarm(
  contestants: readonly Contestant[],
  { processes, runsBefore, ...effort }: WarmEffort,
  { start, folder }: { start: Started; folder: string },
): Promise<Measured[]> {
  const all = livesOf(contestants, start);
  const dice = new Dice();
  for (let round = 0; round < processes; round++) {
    const lives = all.filter(({ failed }) => !failed).map((each) => each.begin());
    const own = join(folder, 'warm');
    await openAll(lives, own);
    for (const life of lives) await life.warmUp(runsBefore);
    await takeTurns(lives, effort, dice);
    for (const life of lives) await life.close();
    removeFolder(own);
  }
  return all.map((each) => each.measured());
}

/** What a fresh half measured; `operations` are those of one run. */
export function freshText({ processes, runs }: FreshEffort, operations = 1): string {
  const done = runs * operations;
  const text = `The first ${countText(done)} of a process; ${processesText(processes)}.`;
  if (done !== 1_000) return text;
  return `${text} An average in us is the time of all 1,000 in ms.`;
}

export function warmText({ processes, runsBefore }: WarmEffort, operations = 1): string {
  const done = countText(runsBefore * operations);
  return `After the first ${done} of a process; ${processesText(processes)}.`;
}

function processesText(processes: number): string {
  return `${plural(processes, 'process', 'processes')} for each contestant`;
}
