/**
 * What a process does that wants a store for itself. It obeys lines on stdin, and says on stdout, a
 * line each, what came of them: `open <path>` (`held` or the code of the error), `commit` (the
 * batch), `close` (`closed`). It ends with its stdin.
 *
 * It is given the library, so that it can be bundled with it; Node, Bun and Deno run it.
 */

import process from 'node:process';
import { createInterface } from 'node:readline';

/** @param {typeof import('../../../src/index.ts').Store} Store */
export async function contend(Store) {
  /** @type {import('../../../src/index.ts').Store | undefined} */
  let store;

  /** @param {string} line */
  async function obey(line) {
    const [order, path = ''] = line.split(' ');
    if (order === 'open') {
      store = await Store.open(path);
      return 'held';
    }
    if (order === 'close') {
      await store?.close();
      return 'closed';
    }
    return (await store?.put(new Uint8Array(100)))?.batch;
  }

  console.log('ready');
  for await (const line of createInterface({ input: process.stdin })) {
    console.log(await obey(line).catch((error) => error.code ?? String(error)));
  }
  process.exit();
}
