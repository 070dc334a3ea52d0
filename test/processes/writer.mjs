/**
 * A process that commits to a store until it is killed, for test/processes/kill.test.ts. It says on
 * stdout, a JSON line each, what a session is about to commit (`intent`) and that it was committed
 * (`acknowledged`, with its batch); each line is written before the process goes on.
 *
 * Arguments: the path, a seed. On stdin: the ids of the values that may be archived, as JSON. Runs
 * the built library, for Node 20 runs no TypeScript.
 */

import { readFileSync, writeSync } from 'node:fs';
import process from 'node:process';
import { Store } from '../../dist/index.js';

const [path = '', seedText = '1'] = process.argv.slice(2);
let state = Number(seedText) >>> 0;

/** @param {number} bound */
function below(bound) {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((state / 4_294_967_296) * bound);
}

/** @param {unknown} line */
function say(line) {
  writeSync(1, `${JSON.stringify(line)}\n`);
}

/** The bytes that a value of this length and kind has; the parent makes them the same way. */
/** @param {number} length @param {number} kind */
function bytesOf(length, kind) {
  return Uint8Array.from({ length }, (_, at) => (at * 31 + kind * 17 + (at >>> 8)) & 0xff);
}

/** @type {string[]} */
const live = JSON.parse(readFileSync(0, 'utf8'));
const store = await Store.open(path, { settleBytes: 2048 });
let number = 0;

/** A session that has been filled, and its number. */
function draft() {
  const session = store.session();
  /** @type {{ id: string, length: number, kind: number }[]} */
  const pushed = [];
  for (let left = below(5); left >= 0; left--) {
    const length = below(12) === 0 ? 20_000 + below(90_000) : below(700);
    const kind = below(256);
    pushed.push({ id: String(session.push(bytesOf(length, kind))), length, kind });
  }
  /** @type {(string | undefined)[]} */
  const archived = [];
  for (let left = below(6); left > 0 && live.length > 0; left--) {
    const [id] = live.splice(below(live.length), 1);
    session.archive(/** @type {any} */ (BigInt(/** @type {string} */ (id))));
    archived.push(id);
  }
  const checkpoint = below(4) === 0 ? store.currentBatch : 0;
  if (checkpoint > 0) session.checkpointTo(checkpoint);
  number += 1;
  say({ intent: number, pushed, archived, checkpoint });
  const told = number;
  /** @param {number} batch */
  const done = (batch) => {
    say({ acknowledged: told, batch });
    for (const { id } of pushed) live.push(id);
  };
  return { session, done };
}

for (;;) {
  const drafts = Array.from({ length: below(3) === 0 ? 2 + below(3) : 1 }, draft);
  const [only] = drafts;
  if (drafts.length === 1 && only !== undefined && below(2) === 0) {
    only.done(only.session.commitSync());
    continue;
  }
  await Promise.all(drafts.map(async ({ session, done }) => done(await session.commit())));
}
