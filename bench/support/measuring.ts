/**
 * Measuring with tinybench: several rounds of all tasks in turn, so that what a disk or a
 * neighbour does meanwhile falls on all of them alike, and the samples of all rounds together.
 *
 * Invariant: what is given is the time of one operation where a call does several. Medians and
 * quartiles only: a mean of disk times says little. Prints nothing.
 */

import { Bench } from 'tinybench';

export interface BenchTask {
  readonly name: string;
  /** Operations that one call does. */
  readonly operations: number;
  /** `run` gives a promise. */
  readonly async: boolean;
  run(): unknown;
}

/** Milliseconds of one operation. */
export interface Spread {
  readonly samples: number;
  readonly p25: number;
  readonly median: number;
  readonly p75: number;
  readonly p99: number;
}

export interface Effort {
  readonly rounds: number;
  /** Milliseconds for each task in each round. */
  readonly time: number;
}

/** Measures every task; the result has their names. */
export async function measure(
  tasks: readonly BenchTask[],
  effort: Effort,
): Promise<Map<string, Spread>> {
  const samples = new Map<string, number[]>(tasks.map(({ name }) => [name, []]));
  for (let round = 0; round < effort.rounds; round++) {
    const bench = new Bench({
      time: effort.time,
      iterations: 4,
      warmupTime: round === 0 ? effort.time / 2 : 0,
      warmupIterations: 1,
      retainSamples: true,
      throws: true,
    });
    // Left to find out for itself, tinybench would call each task when it is added.
    for (const { name, run, async } of tasks) bench.add(name, run, { async });
    for (const task of await bench.run()) {
      const { result } = task;
      if (result.state !== 'completed') throw new Error(`${task.name} is ${result.state}`);
      for (const sample of result.latency.samples ?? []) samples.get(task.name)?.push(sample);
    }
  }
  return new Map(
    tasks.map(({ name, operations }) => [name, spreadOf(samples.get(name) ?? [], operations)]),
  );
}

function spreadOf(samples: readonly number[], operations: number): Spread {
  const sorted = Float64Array.from(samples).sort();
  const at = (part: number): number =>
    (sorted[Math.floor(part * (sorted.length - 1))] ?? Number.NaN) / operations;
  return { samples: sorted.length, p25: at(0.25), median: at(0.5), p75: at(0.75), p99: at(0.99) };
}

/** The spread of the task `name`. Throws where it was not measured. */
export function spreadOfTask(spreads: ReadonlyMap<string, Spread>, name: string): Spread {
  const spread = spreads.get(name);
  if (spread === undefined) throw new Error(`no task is called '${name}'`);
  return spread;
}
