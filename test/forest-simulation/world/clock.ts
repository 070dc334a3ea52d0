/**
 * The clock of a simulation: what a program does must not depend on how fast the machine is.
 *
 * Invariant: time passes only when it is looked at. `Date.now` gains a millisecond with each look,
 * so that the log tells one attempt at a batch from another; `performance.now` gains the same step
 * each time, drawn from the seed, so that long work gives the event loop its turns often, seldom,
 * or at every look.
 */

import { Random } from '../../support/random.ts';

const steps = [0.01, 0.4, 2, 6];

/** Does `act` while both clocks are simulated. */
export async function withClock<T>(seed: number, act: () => Promise<T>): Promise<T> {
  const { now: dateNow } = Date;
  const step = steps[new Random(seed).below(steps.length)] as number;
  let date = 1_000_000_000_000;
  let time = 0;
  Date.now = (): number => {
    date += 1;
    return date;
  };
  // An own property hides that of the prototype until it is deleted.
  performance.now = (): number => {
    time += step;
    return time;
  };
  try {
    return await act();
  } finally {
    Date.now = dateNow;
    Reflect.deleteProperty(performance, 'now');
  }
}
