/** Long loops of the store give the event loop a turn within 10 ms of work, by a clock of the test. */

import { expect, it } from 'vitest';
import { logEntries } from '../../src/store/log-entries.ts';
import { verifyStore } from '../../src/store/verify.ts';
import { Breather } from '../../src/util/breather.ts';
import { patternOf } from '../support/bytes.ts';
import { type CoreLab, openLab } from './core-lab.ts';

/** A breather to which each step of a loop takes a millisecond; counts turns and steps. */
class Counting extends Breather {
  steps = 0;
  turns = 0;
  stepsSince = 0;
  most = 0;

  constructor() {
    let time = 0;
    super(() => time++);
  }

  override get due(): boolean {
    this.steps += 1;
    this.stepsSince += 1;
    this.most = Math.max(this.most, this.stepsSince);
    return super.due;
  }

  override async turn(): Promise<void> {
    this.turns += 1;
    this.stepsSince = 0;
    await super.turn();
  }
}

async function labWith(commits: number, values: number): Promise<CoreLab> {
  const lab = await openLab();
  for (let commit = 0; commit < commits; commit++) {
    const session = lab.session();
    for (let at = 0; at < values; at++) session.push(patternOf(at % 50));
    session.commitSync();
  }
  return lab;
}

it.each([false, true])('a verification, deep: %s, lets others have their turns', async (deep) => {
  const lab = await labWith(120, 20);
  const breather = new Counting();
  const request = { deep, signal: undefined, quiet: () => true, breather };
  for await (const finding of verifyStore(lab.core, request)) expect(finding).toBe(undefined);
  expect(breather.steps).toBeGreaterThan(deep ? 2000 : 100);
  expect(breather.most).toBeLessThanOrEqual(10);
  await lab.close();
});

it('a verification beside commits finds nothing that is of two states', async () => {
  const lab = await labWith(40, 20);
  const breather = new Counting();
  let writes = 0;
  const quiet = (): boolean => {
    if (writes++ % 3 === 0) {
      const session = lab.session();
      session.push(patternOf(writes % 90));
      queueMicrotask(() => session.commitSync());
    }
    return false;
  };
  const request = { deep: true, signal: undefined, quiet, breather };
  for await (const finding of verifyStore(lab.core, request)) expect(finding).toBe(undefined);
  expect(writes).toBeGreaterThan(0);
  await lab.close();
});

it('an iteration of the commit log lets others have their turns', async () => {
  const lab = await labWith(100, 1);
  const breather = new Counting();
  const range = { after: 0, until: 100, signal: undefined };
  let entries = 0;
  for await (const _ of logEntries(lab.core, range, breather)) entries += 1;
  expect(entries).toBe(100);
  expect(breather.turns).toBeGreaterThanOrEqual(10);
  expect(breather.most).toBeLessThanOrEqual(10);
  await lab.close();
});
