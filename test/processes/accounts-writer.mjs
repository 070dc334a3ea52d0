/**
 * A process that moves money between accounts, for readers-beside-writer.test.ts: each balance is a
 * value of its own, and each commit moves the checkpoint, so that what is replaced is freed and its
 * grains are used again at once.
 *
 * Arguments: the path, how many transfers. Prints `ready`, then `done`. Runs the built library.
 *
 * @typedef {import('../../src/index.ts').GrainId} GrainId
 */

import process from 'node:process';
import { accountCount, encodeAccount, encodeList, firstBalance } from './accounts.mjs';
import { randomFrom } from './seeded.mjs';

const [path = '', transfers = '0'] = process.argv.slice(2);
/** @type {typeof import('../../src/index.ts')} */
const { Store } = await import(new URL('../../dist/index.js', import.meta.url).href);

const random = randomFrom(20261130);
const store = await Store.open(path, { settleBytes: 16 * 1024 });
/** @type {GrainId[]} */
const ids = [];
/** @type {number[]} */
const balances = [];

const first = store.session();
for (let account = 0; account < accountCount; account++) {
  balances.push(firstBalance);
  ids.push(first.push(encodeAccount(account, firstBalance)));
}
let list = first.push(encodeList(ids));
first.setEmbeddedHeader(list);
await first.commit();
process.stdout.write('ready\n');

for (let transfer = 0; transfer < Number(transfers); transfer++) {
  const [from, to, amount] = [random(accountCount), random(accountCount), random(50)];
  balances[from] = (balances[from] ?? 0) - amount;
  balances[to] = (balances[to] ?? 0) + amount;
  const session = store.session();
  for (const account of new Set([from, to])) {
    session.archive(/** @type {GrainId} */ (ids[account]));
    ids[account] = session.push(encodeAccount(account, balances[account] ?? 0));
  }
  session.archive(list);
  list = session.push(encodeList(ids));
  session.setEmbeddedHeader(list);
  session.checkpointTo(store.currentBatch);
  await session.commit();
}
await store.close();
process.stdout.write('done\n');
