/**
 * A process that loads a forest with the budget of memory that it has by default, and reads it at
 * random.
 *
 * Invariant: keys are made as they are needed, so that the process has no memory of its own that
 * grows with the forest.
 */

import { Forest } from '../../src/forest/index.ts';
import { Dice } from '../support/atlas-bed.ts';
import type { ForestMemoryAnswer, ForestMemoryTask } from '../support/forest-memory.ts';
import { processMemory } from '../support/process-memory.ts';

const valueBytes = 100;
/** Coprime to any number of entries that is asked for: all are put, far apart. */
const stride = 7_368_787;

const { path, count, together, order, gets } = JSON.parse(
  process.argv[2] ?? '{}',
) as ForestMemoryTask;
const forest = await Forest.open(path);
const tree = forest.tree('entries');
const step = 2n ** 64n / BigInt(count);
const value = Buffer.alloc(valueBytes, 7);
const key = Buffer.alloc(8);
let countedMost = 0;

function keyOf(number: number): Buffer {
  key.writeBigUInt64BE(BigInt(number) * step);
  return key;
}

function look(): void {
  countedMost = Math.max(countedMost, forest.store.memory.statistics().usedBytes);
}

for (let from = 0; from < count; from += together) {
  await forest.transaction((tx) => {
    const writing = tx.tree(tree);
    for (let at = from; at < from + together; at++) {
      writing.put(keyOf(order === 'sorted' ? at : (at * stride) % count), value);
    }
    look();
  });
  look();
}
const loaded = processMemory();
const dice = new Dice();
for (let done = 0; done < gets; done++) {
  if (tree.get(keyOf(dice.next(count)))?.length !== valueBytes) throw new Error('no such entry');
  look();
}
const { budgetBytes } = forest.store.memory.statistics();
const answer: ForestMemoryAnswer = { budgetBytes, countedMost, loaded, read: processMemory() };
await forest.close();
console.log(JSON.stringify(answer));
