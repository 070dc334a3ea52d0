/**
 * A process that commits, deletes and compacts is killed by SIGKILL, many times over, on one store of
 * some megabytes: what it had said was durable is there with all of its bytes, the session under way is
 * there whole or not at all, and verification finds nothing.
 *
 * When to kill is a number of lines of its output, from a seed; nothing depends on time. The next process
 * has been started meanwhile and waits for its orders.
 */

import { statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { type GrainId, Store } from '../../../src/index.ts';
import { expectSameBytes } from '../../support/bytes.ts';
import { crashScale } from '../../support/crash-scale.ts';
import { findingsOf } from '../../support/fixtures/store-checks.ts';
import { makeTemporaryFolder, removeTemporaryFolder } from '../../support/temporary-folder.ts';
import { Child } from '../child.ts';
import { randomFrom, valueBytes } from '../seeded.mjs';
import type { Orders, Pushed, Told, Work } from './compacting-writer.mjs';

const rounds = 20 * crashScale;
const seed = Number(process.env['VARVE_KILL_SEED'] ?? 20261201);
const writer = fileURLToPath(new URL('./compacting-writer.mjs', import.meta.url));
const random = randomFrom(seed);

let folder: string;
/** Processes that have loaded what they need by the time it is their turn. */
const waiting: Child[] = [];

beforeAll(() => {
  folder = makeTemporaryFolder();
});

afterEach(async () => {
  for (const child of waiting.splice(0)) await child.leave();
});

afterAll(() => removeTemporaryFolder(folder));

/** What the store should have, by what its writers have said. */
class Reported {
  readonly live = new Map<string, Pushed>();
  nextNumber = 0;
  durable = 0;
  compactions = 0;
  /** Sessions that were under way when their process was killed. */
  readonly undecided = { there: 0, absent: 0 };
  #underWay: Work | undefined;

  hear(told: Told): void {
    if ('error' in told) throw new Error(told.error);
    if ('work' in told) {
      this.#underWay = told.work;
      this.nextNumber += told.work.pushed.length;
    } else if ('done' in told) {
      this.#apply();
      this.durable += 1;
    } else if (told.step === 'compacted') this.compactions += 1;
  }

  #apply(): void {
    const { pushed = [], archived = [] } = this.#underWay ?? {};
    for (const one of pushed) this.live.set(one.id, one);
    for (const id of archived) this.live.delete(id);
    this.#underWay = undefined;
  }

  /** The session under way is there, all of it, or it is not. */
  decide(store: Store): void {
    if (this.#underWay === undefined) return;
    const [first] = this.#underWay.pushed;
    const isThere = first !== undefined && store.has(idOf(first));
    for (const one of this.#underWay.pushed) expect(store.has(idOf(one))).toBe(isThere);
    this.undecided[isThere ? 'there' : 'absent'] += 1;
    if (isThere) this.#apply();
    this.#underWay = undefined;
  }

  compare(store: Store): void {
    for (const one of this.live.values()) {
      const expected = valueBytes(one.number, one.length);
      expectSameBytes(store.get(idOf(one)) ?? new Uint8Array(), expected);
    }
  }
}

function idOf({ id }: Pushed): GrainId {
  return BigInt(id) as GrainId;
}

/** Says of a line whether the process is to be killed upon it. */
function killPoint({ compaction }: Orders): (told: Told) => boolean {
  let compactions = compaction === 'manual' ? 1 + random(4) : 0;
  // In the middle of a compaction, beside commits and without.
  let sessions = compaction === 'manual' ? random(5) : 1 + random(40);
  return (told) => {
    if (compactions > 0) {
      if ('step' in told && told.step === 'compacting') compactions -= 1;
    } else if ('done' in told) sessions -= 1;
    return compactions === 0 && sessions <= 0;
  };
}

/** Lets the process work until it is killed; hears all that it said. */
async function killWriter(child: Child, orders: Orders, reported: Reported): Promise<void> {
  const isTime = killPoint(orders);
  child.tell(JSON.stringify(orders));
  for (let line = await child.line(); line !== undefined; line = await child.line()) {
    const told = JSON.parse(line) as Told;
    reported.hear(told);
    if (isTime(told)) child.kill();
  }
  expect(await child.ended()).toBe('SIGKILL');
}

it.each(['manual', 'automatic'] as const)(
  `a store with %s compaction whose writer is killed ${rounds} times has all that was durable`,
  async (compaction) => {
    const path = join(folder, `${compaction}.varve`);
    const reported = new Reported();
    for (let round = 0; round < rounds; round++) {
      const { nextNumber } = reported;
      const live = [...reported.live.values()];
      const orders = { seed: random(2 ** 32), compaction, live, nextNumber };
      while (waiting.length < 2) waiting.push(new Child(writer, path));
      await killWriter(waiting.shift() as Child, orders, reported);
      const store = await Store.open(path);
      reported.decide(store);
      reported.compare(store);
      expect(await findingsOf(store)).toEqual([]);
      await store.close();
    }
    const { durable, compactions, undecided } = reported;
    console.log(
      `${rounds} kills (${compaction}, seed ${seed}): ${durable} batches, ${compactions} compactions, ` +
        `${statSync(path).size} bytes; sessions under way ${JSON.stringify(undecided)}`,
    );
    expect(durable).toBeGreaterThan(rounds);
    expect(compactions).toBeGreaterThan(0);
  },
  300_000 * crashScale,
);
