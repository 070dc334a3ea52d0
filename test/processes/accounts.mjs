/**
 * Accounts as bytes, for a writer that moves money between them and readers that sum them up: a
 * number and a balance, of many lengths, and the list of their ids.
 *
 * Invariant: in every batch the balances have the same sum, so bytes of another batch break it, and
 * bytes of another account are noticed by the number. Plain JavaScript, for Node 20 runs it.
 *
 * @typedef {import('../../src/index.ts').GrainId} GrainId
 * @typedef {import('../../src/index.ts').StoreView} StoreView
 */

export const accountCount = 60;
export const firstBalance = 1000;

/**
 * The length follows from the balance: values move between strata and leave holes.
 *
 * @param {number} account
 * @param {number} balance
 */
export function encodeAccount(account, balance) {
  const bytes = new Uint8Array(16 + (Math.abs(balance * 31 + account) % 400));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, account);
  view.setInt32(4, balance);
  return bytes;
}

/** @param {readonly GrainId[]} ids */
export function encodeList(ids) {
  const bytes = new Uint8Array(ids.length * 8);
  const view = new DataView(bytes.buffer);
  for (const [at, id] of ids.entries()) view.setBigUint64(at * 8, id);
  return bytes;
}

/**
 * The sum of all accounts. Throws what the store throws, and an error if something is not there.
 *
 * @param {StoreView} view
 */
export function sumOf(view) {
  const list = view.embeddedHeader === undefined ? undefined : view.get(view.embeddedHeader);
  if (list === undefined) throw new Error(`batch ${view.batch} has no list of accounts`);
  const ids = new DataView(list.buffer, list.byteOffset, list.byteLength);
  let sum = 0;
  for (let account = 0; account < accountCount; account++) {
    const bytes = view.get(/** @type {GrainId} */ (ids.getBigUint64(account * 8)));
    if (bytes === undefined) throw new Error(`account ${account} is not in batch ${view.batch}`);
    const parts = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const found = parts.getUint32(0);
    if (found !== account) throw new Error(`account ${account} holds the bytes of ${found}`);
    sum += parts.getInt32(4);
  }
  return sum;
}
