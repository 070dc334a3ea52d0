/**
 * A process that commits, deletes and compacts a store until it is killed, for
 * killed-compaction.test.ts. It says on stdout, in lines of JSON, what each session is about to do, when
 * it is durable, and how far a compaction is; a line is in the pipe before the next call is made.
 *
 * Argument: the path. Its orders are one line on stdin (`Orders`). Runs the built library.
 *
 * @typedef {import('../../../src/index.ts').GrainId} GrainId
 *
 * @typedef {object} Pushed
 * @property {string} id
 * @property {number} number
 * @property {number} length
 *
 * @typedef {object} Work
 * @property {readonly Pushed[]} pushed
 * @property {readonly string[]} archived
 *
 * @typedef {object} Orders
 * @property {number} seed
 * @property {'automatic' | 'manual'} compaction
 * @property {readonly Pushed[]} live Values that are committed.
 * @property {number} nextNumber Of the next value.
 *
 * @typedef {{ readonly work: Work }
 *   | { readonly done: number }
 *   | { readonly step: 'open' | 'compacting' | 'compacted' | 'idle' }
 *   | { readonly error: string }} Told
 */

import { subscribe } from 'node:diagnostics_channel';
import fs from 'node:fs';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { randomFrom, valueBytes } from '../seeded.mjs';

const [path = ''] = process.argv.slice(2);
const stdout = 1;
const sizes = [20, 100, 300, 3000, 20_000, 70_000, 150_000, 300_000];
const liveBytesMax = 3_000_000;
/** More than it lives to make. */
const sessionsMax = 2000;

/** @param {Told} line */
function tell(line) {
  fs.writeSync(stdout, `${JSON.stringify(line)}\n`);
}

/** @param {Orders} orders */
async function run({ seed, compaction, live: before, nextNumber }) {
  const { Store } = await library;
  subscribe('varve:compact', () => tell({ step: 'compacted' }));
  const store = await Store.open(path, { compaction });
  tell({ step: 'open' });
  const random = randomFrom(seed);
  const live = [...before];
  let number = nextNumber;

  const commit = async () => {
    const session = store.session();
    /** @type {Pushed[]} */
    const pushed = [];
    for (let left = 1 + random(3); left > 0; left--) {
      const length = sizes[random(sizes.length)] ?? 0;
      const id = session.push(valueBytes(number, length));
      pushed.push({ id: `${id}`, number, length });
      number += 1;
    }
    /** @type {string[]} */
    const archived = [];
    if (live.reduce((sum, { length }) => sum + length, 0) > liveBytesMax) {
      // Those that stay lie anywhere in the file.
      for (let left = Math.floor(live.length * 0.7); left > 0; left--) {
        const [{ id = '' } = {}] = live.splice(random(live.length), 1);
        session.archive(/** @type {GrainId} */ (BigInt(id)));
        archived.push(id);
      }
    }
    tell({ work: { pushed, archived } });
    const batch = await session.commit();
    tell({ done: batch });
    live.push(...pushed);
    if (archived.length > 0) await store.checkpointTo(batch);
  };

  const compact = () => {
    tell({ step: 'compacting' });
    return store.compact();
  };

  await store.checkpointTo(store.currentBatch);
  /** @type {Promise<unknown> | undefined} */
  let compacting;
  for (let count = 0; count < sessionsMax; count++) {
    await commit();
    if (compaction === 'automatic') continue;
    if (compacting === undefined && random(6) === 0) await compact();
    else if (compacting === undefined && random(3) === 0) {
      compacting = compact().finally(() => {
        compacting = undefined;
      });
    }
    if (random(4) === 0) await compacting;
  }
  tell({ step: 'idle' });
}

const library = import(new URL('../../../dist/index.js', import.meta.url).href);
await library;
createInterface({ input: process.stdin })
  .once('line', (line) => {
    run(JSON.parse(line)).catch((error) => {
      tell({ error: `${error.code}: ${error.stack}` });
      process.exit(1);
    });
  })
  // Nobody is there any more to be told.
  .once('close', () => process.exit());
