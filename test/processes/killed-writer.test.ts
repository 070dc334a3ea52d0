/**
 * A process that commits is killed by SIGKILL, a hundred times over, on one store: everything that
 * it had said was acknowledged is there, and each session that was under way is there whole or not
 * at all. What one opening has found the next finds too.
 *
 * When to kill is a number of acknowledged batches, or the beginning of the opening, from a seed;
 * nothing depends on time. The next process has been started meanwhile and waits for its orders.
 */

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Store } from '../../src/index.ts';
import { crashScale } from '../support/crash-scale.ts';
import { makeTemporaryFolder, removeTemporaryFolder } from '../support/temporary-folder.ts';
import { Child } from './child.ts';
import { randomFrom } from './seeded.mjs';
import { type Orders, type Told, WrittenStore } from './written-store.ts';

const rounds = 100 * crashScale;
const seed = Number(process.env['VARVE_KILL_SEED'] ?? 20261121);
const writer = fileURLToPath(new URL('./session-writer.mjs', import.meta.url));
const random = randomFrom(seed);

let folder: string;
const waiting: Child[] = [];

beforeAll(() => {
  folder = makeTemporaryFolder();
});

afterAll(async () => {
  for (const child of waiting) await child.leave();
  removeTemporaryFolder(folder);
});

/** A process that has loaded what it needs by the time it is its turn. */
function nextChild(path: string): Child {
  while (waiting.length < 3) waiting.push(new Child(writer, path));
  return waiting.shift() as Child;
}

/** Says of a line whether the process is to be killed upon it. */
function killPoint(orders: Orders): (told: Told) => boolean {
  if (orders.closes) return (told) => 'step' in told && told.step === 'idle';
  const kind = random(10);
  if (kind < 2) {
    const at = kind === 0 ? 'opening' : 'open';
    return (told) => 'step' in told && told.step === at;
  }
  let left = 1 + random(12);
  return (told) => {
    if (!('done' in told)) return false;
    left -= 1;
    return left === 0;
  };
}

/** Lets the process write until it is killed; hears all that it said. */
async function killWriter(child: Child, orders: Orders, written: WrittenStore): Promise<void> {
  const isTime = killPoint(orders);
  child.tell(JSON.stringify(orders));
  for (let line = await child.line(); line !== undefined; line = await child.line()) {
    const told = JSON.parse(line) as Told;
    written.hear(told);
    if (isTime(told)) child.kill();
  }
  expect(await child.ended()).toBe('SIGKILL');
}

it(
  `a store whose writer is killed ${rounds} times has all that was acknowledged`,
  async () => {
    const path = join(folder, 'store.varve');
    const written = new WrittenStore();
    const openings = { clean: 0, recovered: 0, reverted: 0 };
    for (let round = 1; round <= rounds; round++) {
      const orders = {
        seed: random(2 ** 32),
        settleBytes: [1, 3000, 20_000][random(3)] ?? 1,
        // Enough for it to be killed while it works.
        groups: 40,
        closes: false,
        live: written.live,
        firstNumber: written.nextNumber,
      };
      const closes = random(12) === 0;
      const few = { ...orders, groups: 3, closes };
      await killWriter(nextChild(path), closes ? few : orders, written);
      // Where it is only looked at, the next process recovers.
      const readOnly = round > 1 && random(3) === 0;
      const store = await Store.open(path, { readOnly });
      const { clean, revertedBatch } = store.recovery;
      openings[clean ? 'clean' : 'recovered'] += 1;
      if (revertedBatch !== undefined) openings.reverted += 1;
      await written.check(store, round % 5 === 0 || round === rounds);
      await store.close();
    }
    const { acknowledged, survived, absent } = written.counts;
    console.log(
      `${rounds} kills (seed ${seed}): ${written.expected.current.batch} batches, ` +
        `${acknowledged} sessions acknowledged, ${survived} found whole, ${absent} absent; ` +
        `openings ${JSON.stringify(openings)}`,
    );
    expect(acknowledged).toBeGreaterThan(rounds);
  },
  300_000 * crashScale,
);
