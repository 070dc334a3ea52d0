/**
 * A process whose subscribers to the messages of a store throw, for watching.test.ts. It says one line of
 * JSON: what its commits came to, what other subscribers were told, and the uncaught exceptions.
 *
 * Argument: the path of the store. Runs the built library, for Node 20 runs no TypeScript.
 */

import diagnostics from 'node:diagnostics_channel';
import process from 'node:process';
import { setImmediate as nextTurn } from 'node:timers/promises';

/** @type {typeof import('../../src/index.ts')} */
const { Store } = await import(new URL('../../dist/index.js', import.meta.url).href);

/** @type {string[]} */
const uncaught = [];
process.on('uncaughtException', (error) => uncaught.push(error.message));

/** @type {string[]} */
const messages = [];
const names = ['varve:commit', 'varve:checkpoint', 'varve:settle', 'varve:recovery'];
for (const name of names) {
  diagnostics.subscribe(name, () => {
    throw new Error(`${name} failed`);
  });
  diagnostics.subscribe(name, () => messages.push(name));
}

const path = process.argv[2] ?? '';
const store = await Store.open(path);
const { id, batch } = await store.put(new Uint8Array(10));
const session = store.session();
session.archive(id);
const batches = [batch, session.commitSync(), await store.checkpointTo(2)];
const findings = [];
for await (const finding of store.verify({ deep: true })) findings.push(finding);
await store.close();
const again = await Store.open(path);
const reopened = { batch: again.currentBatch, clean: again.recovery.clean };
await again.close();
await nextTurn();
console.log(JSON.stringify({ batches, findings, reopened, messages, uncaught }));
