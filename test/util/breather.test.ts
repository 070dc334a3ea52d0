/** Turns of the event loop in long work, by a clock that the test moves. */

import { afterEach, expect, it, vi } from 'vitest';
import { Breather } from '../../src/util/breather.ts';

afterEach(() => vi.unstubAllGlobals());

/** Does steps that take these milliseconds; gives the work between turns, in milliseconds. */
async function workBetweenTurns(steps: readonly number[]): Promise<number[]> {
  let time = 1000;
  const breather = new Breather(() => time);
  const spans: number[] = [];
  let from = time;
  for (const step of steps) {
    time += step;
    if (!breather.due) continue;
    spans.push(time - from);
    await breather.turn();
    from = time;
  }
  return spans;
}

it.each([
  ['a microsecond', 0.001, 200_000],
  ['a tenth of a millisecond', 0.1, 2000],
  ['a millisecond', 1, 200],
  ['four milliseconds', 4, 50],
])('steps of %s each give the event loop a turn within 10 ms of work', async (_, step, count) => {
  const spans = await workBetweenTurns(new Array(count).fill(step));
  expect(spans.length).toBeGreaterThanOrEqual(Math.floor((step * count) / 10));
  expect(Math.max(...spans)).toBeLessThan(10);
});

it('steps that become a hundred times as long still give turns within 10 ms of work', async () => {
  const steps = [...new Array(5000).fill(0.02), ...new Array(500).fill(2)];
  const spans = await workBetweenTurns(steps);
  // Once, where the steps become longer, the clock is read a little later than it should be.
  expect(spans.filter((span) => span >= 10).length).toBeLessThanOrEqual(1);
  expect(spans.length).toBeGreaterThan(100);
});

it('the clock is read once in many short steps', () => {
  let reads = 0;
  const breather = new Breather(() => {
    reads += 1;
    return 0;
  });
  for (let step = 0; step < 10_000; step++) expect(breather.due).toBe(false);
  expect(reads).toBeLessThan(300);
});

it('a turn lets everything run that waits for the event loop', async () => {
  const breather = new Breather();
  let ran = false;
  setImmediate(() => {
    ran = true;
  });
  await breather.turn();
  expect(ran).toBe(true);
});

it.each([
  ['setImmediate', ['setImmediate']],
  ['setImmediate and MessageChannel', ['setImmediate', 'MessageChannel']],
])('a turn comes on a platform without %s', async (_, missing) => {
  for (const name of missing) vi.stubGlobal(name, undefined);
  let turns = 0;
  const breather = new Breather();
  for (; turns < 3; turns++) await breather.turn();
  expect(turns).toBe(3);
});

it('works for longer and longer between turns if it chases a writer', async () => {
  let time = 0;
  const breather = new Breather(() => time, 1 / 64);
  const stretches: number[] = [];
  for (let since = 0; time < 6400; ) {
    time += 1;
    if (!breather.due) continue;
    stretches.push(time - since);
    await breather.turn();
    since = time;
  }
  expect(stretches[0]).toBe(5);
  expect(stretches.at(-1)).toBeGreaterThan(90);
});
