/**
 * What the slices of one contestant say: times, rates, and the average that goals compare.
 *
 * Invariant: each process counts alike. An average is the median of the averages of the processes,
 * so that one process that a neighbour disturbed does not decide it. Within a process nothing is
 * taken out: work that comes due after many commits is in the average. Measures nothing.
 */

import type { Contestant } from './contestant.ts';
import type { Slice } from './open-contestant.ts';
import { averageOf, type Spread, spreadOf } from './spread.ts';

export interface Measured {
  readonly contestant: Contestant;
  /** Milliseconds of one operation, over all slices. */
  readonly time: Spread;
  /** Milliseconds of one operation: the median of the averages of the processes. */
  readonly average: number;
  /** Operations in a second, slice by slice. */
  readonly rate: Spread;
  readonly note?: string;
  /** Why it is out; its figures are NaN then. */
  readonly failure?: string;
}

/** How it ended, besides its slices. */
export interface Outcome {
  readonly note?: string | undefined;
  readonly failure?: string | undefined;
}

/** `processes` has the slices of each process that measured the contestant. */
export function measuredOf(
  contestant: Contestant,
  processes: readonly (readonly Slice[])[],
  { note, failure }: Outcome = {},
): Measured {
  const { operations = 1 } = contestant;
  const counted = failure === undefined ? processes.filter(({ length }) => length > 0) : [];
  const times = counted.map((slices) => slices.flatMap((slice) => slice.times));
  const averages = times.map((each) => averageOf(each) / operations);
  return {
    contestant,
    time: spreadOf(times.flat(), 1 / operations),
    average: spreadOf(averages).median,
    rate: spreadOf(counted.flat().map(({ rate }) => rate)),
    ...(note === undefined ? {} : { note }),
    ...(failure === undefined ? {} : { failure }),
  };
}
