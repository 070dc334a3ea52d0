/**
 * A process that writes a store until it is killed, for killed-writer.test.ts. It says on stdout, in lines
 * of JSON, what each session is about to do, and then in which batch it was acknowledged; a line is
 * in the pipe before the next call is made, so that none is lost with the process.
 *
 * Argument: the path. Its orders are one line on stdin (`Orders` in written-store.ts). Runs the
 * built library, for Node 20 runs no TypeScript.
 *
 * @typedef {import('./written-store.ts').Told} Told
 * @typedef {import('./written-store.ts').Orders} Orders
 * @typedef {import('./written-store.ts').Announced} Announced
 * @typedef {import('../../src/index.ts').Session} Session
 * @typedef {import('../../src/index.ts').GrainId} GrainId
 */

import fs from 'node:fs';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { randomFrom, valueBytes } from './seeded.mjs';

const [path = ''] = process.argv.slice(2);
const stdout = 1;
const kibibyte = 1024;
const sizes = [0, 1, 20, 100, 100, 300, 300, 1000, 5000, 20 * kibibyte, 70 * kibibyte];
/** A session that holds more than this writes ahead, and a put does not go through memory. */
const stagedBytesMax = 1024 * kibibyte;
const liveMax = 60;

/** @param {Told} line */
function tell(line) {
  fs.writeSync(stdout, `${JSON.stringify(line)}\n`);
}

/** One process's work on the store, from its orders on. */
class Writer {
  /** @type {import('../../src/index.ts').Store} */
  #store;
  #random;
  /** Values that are committed and that nobody has archived. */
  #live;
  #number;
  #header;

  /**
   * @param {import('../../src/index.ts').Store} store
   * @param {Orders} orders
   */
  constructor(store, orders) {
    this.#store = store;
    this.#random = randomFrom(orders.seed);
    this.#live = orders.live.map((id) => /** @type {GrainId} */ (BigInt(id)));
    this.#number = orders.firstNumber;
    this.#header = store.embeddedHeader;
  }

  async work() {
    const kind = this.#random(20);
    if (kind < 6) await this.#commit(1);
    else if (kind < 11) this.#commitSync();
    else if (kind < 16) await this.#commit(2 + this.#random(4));
    else if (kind < 18) await this.#updateHeader();
    else if (kind === 18) await this.#put(this.#size());
    else await this.#writeMuch();
  }

  #size() {
    return sizes[this.#random(sizes.length)] ?? 0;
  }

  /**
   * Stages what one session does, and says so.
   *
   * @param {Session} session
   * @param {boolean} checkpoints
   * @returns {Announced}
   */
  #stage(session, checkpoints) {
    /** @type {Announced} */
    const work = { number: this.#number, operations: [] };
    for (let count = 1 + this.#random(4); count > 0; count--) {
      this.#push(session, work, this.#size());
    }
    const many = this.#live.length > liveMax ? 6 : 2;
    for (let count = this.#random(many + 1); count > 0 && this.#live.length > 3; count--) {
      this.#archive(session, work);
    }
    if (checkpoints && this.#random(3) === 0) {
      work.checkpointTo = Math.max(0, this.#store.currentBatch - this.#random(8));
      session.checkpointTo(work.checkpointTo);
    }
    return work;
  }

  /**
   * @param {Session} session
   * @param {Announced} work
   * @param {number} length
   */
  #push(session, work, length) {
    const number = this.#number++;
    const id = session.push(valueBytes(number, length));
    work.operations.push({ id: `${id}`, number, length });
    return id;
  }

  /**
   * @param {Session} session
   * @param {Announced} work
   */
  #archive(session, work) {
    const at = this.#random(this.#live.length);
    const [id] = this.#live.splice(at, 1);
    if (id === undefined || id === this.#header) return;
    session.archive(id);
    work.operations.push({ id: `${id}` });
  }

  /**
   * @param {Announced} work
   * @param {number} batch
   */
  #done(work, batch) {
    tell({ done: work.number, batch });
    for (const { id, number } of work.operations) {
      if (number !== undefined) this.#live.push(/** @type {GrainId} */ (BigInt(id)));
    }
  }

  /** @param {number} sessions */
  async #commit(sessions) {
    const commits = [];
    for (let count = 0; count < sessions; count++) {
      const session = this.#store.session();
      const work = this.#stage(session, count === 0);
      tell({ work });
      commits.push(session.commit().then((batch) => this.#done(work, batch)));
    }
    await Promise.all(commits);
  }

  #commitSync() {
    const session = this.#store.session();
    const work = this.#stage(session, true);
    tell({ work });
    this.#done(work, session.commitSync());
  }

  async #updateHeader() {
    /** @type {Announced | undefined} */
    let work;
    const batch = await this.#store.updateEmbeddedHeader((session) => {
      work = this.#stage(session, false);
      const header = this.#random(8) === 0 ? null : this.#push(session, work, 30);
      work.header = header === null ? null : `${header}`;
      tell({ work });
      return header;
    });
    if (work !== undefined) this.#done(work, batch);
    this.#header = this.#store.embeddedHeader;
  }

  /** @param {number} length */
  async #put(length) {
    const number = this.#number++;
    tell({ work: { number, operations: [], put: length } });
    const { id, batch } = await this.#store.put(valueBytes(number, length));
    tell({ done: number, batch, id: `${id}` });
    this.#live.push(id);
  }

  /** More than is held in memory, and archived with the next session. */
  async #writeMuch() {
    if (this.#random(3) > 0) {
      await this.#put(stagedBytesMax + 5);
      return;
    }
    const session = this.#store.session();
    /** @type {Announced} */
    const work = { number: this.#number, operations: [] };
    for (let count = 0; count < 3; count++) this.#push(session, work, 400 * kibibyte);
    tell({ work });
    this.#done(work, await session.commit());
  }
}

/** @param {Orders} orders */
async function run(orders) {
  const { Store } = await library;
  tell({ step: 'opening' });
  const store = await Store.open(path, { settleBytes: orders.settleBytes, cacheBytes: 0 });
  tell({ step: 'open', batch: store.currentBatch });
  const writer = new Writer(store, orders);
  for (let count = 0; count < orders.groups; count++) await writer.work();
  if (orders.closes) await store.close();
  tell({ step: 'idle' });
}

const library = import(new URL('../../dist/index.js', import.meta.url).href);
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
