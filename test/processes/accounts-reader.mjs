/**
 * A process that opens the store of the accounts read-only beside its writer, sums, refreshes and
 * verifies, round after round, until it is told to stop; for readers-beside-writer.test.ts.
 *
 * Argument: the path. Stops at the end of its stdin, after one round more, and prints what it has
 * counted as one line of JSON; or what went wrong. Only `VARVE_SNAPSHOT_GONE` is nothing wrong.
 */

import process from 'node:process';
import { accountCount, firstBalance, sumOf } from './accounts.mjs';

const [path = ''] = process.argv.slice(2);
/** @type {typeof import('../../src/index.ts')} */
const { Store } = await import(new URL('../../dist/index.js', import.meta.url).href);

const told = { opened: 0, sums: 0, verified: 0, gone: 0, moved: 0 };
let stops = false;
process.stdin.on('end', () => {
  stops = true;
});
process.stdin.resume();

/** @param {() => Promise<void> | void} read */
async function unlessGone(read) {
  try {
    await read();
  } catch (error) {
    const { code } = /** @type {{ code?: string }} */ (error);
    if (code !== 'VARVE_SNAPSHOT_GONE') throw error;
    told.gone += 1;
  }
}

async function round() {
  const cacheBytes = told.opened % 2 === 0 ? 0 : 1024 * 1024;
  const store = await Store.open(path, { readOnly: true, cacheBytes });
  told.opened += 1;
  let batch = store.currentBatch;
  for (let step = 0; step < 10; step++) {
    const view = store.view();
    const sum = () => {
      const found = sumOf(view);
      if (found !== accountCount * firstBalance) throw new Error(`${view.batch} sums to ${found}`);
      told.sums += 1;
    };
    await unlessGone(sum);
    const next = await store.refresh();
    if (next < batch) throw new Error(`a refresh went back from batch ${batch} to ${next}`);
    if (next > batch) told.moved += 1;
    batch = next;
    await unlessGone(sum);
  }
  await unlessGone(async () => {
    for await (const { message, grainId } of store.verify({ deep: true })) {
      throw new Error(`a finding in batch ${batch}: ${message} (${grainId})`);
    }
    told.verified += 1;
  });
  await store.close();
}

try {
  while (!stops) await round();
  await round();
  process.stdout.write(`${JSON.stringify(told)}\n`);
} catch (error) {
  process.stdout.write(`${error instanceof Error ? error.stack : error}\n`.replaceAll('\n', ' | '));
  process.exitCode = 1;
}
