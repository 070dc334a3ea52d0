/**
 * A queue of jobs that survives kills and power cuts, on a forest.
 *
 * One tree is the whole queue. Its keys are `[runAt, id]`, so the first entry is the job that is due
 * first:
 *
 * - `take` moves the first due job to the end of its lease: `[now + leaseMs, id]`. Nobody else sees
 *   it until then. If its consumer dies, nothing has to be repaired: the job is due again.
 * - `finish` deletes the entry, `retry` moves it to a later time. Both do it only if the entry is as
 *   `take` has left it. A consumer whose lease has run out does nothing to the next one's job.
 * - Transactions run one at a time, each on what the one before has left. So no two consumers take
 *   the same job, and those that commit at the same time share one sync of the disk.
 *
 * A job runs at least once: a consumer may die after its work and before `finish`. Work on the same
 * forest happens exactly once if it is done in the transaction of `finish`, and a job is added
 * exactly if the rest of its transaction is (`addIn`).
 *
 * Run it: `node examples/job-queue.mjs`. In a clone of the repository, run `npm run build` first.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { codecs, Forest } from 'varve/forest';

/** @typedef {import('varve/forest').Transaction} Transaction */
/**
 * What is stored of a job; `error` is that of the last attempt.
 * @typedef {{ payload: unknown, attempts: number, error: string }} Entry
 */
/**
 * A job in the hands of a consumer, until `leaseEnd`. `attempts` counts this one too.
 * @typedef {Entry & { readonly id: number, readonly leaseEnd: number }} Job
 */
/** @typedef {(job: Job) => Promise<void | ((tx: Transaction) => void)>} Handler */

/** The longest time that `setTimeout` takes. */
const sleepMsMax = 2 ** 31 - 1;

export class JobQueue {
  #forest;
  #jobs;
  #failed;
  #lastId;
  #options;

  /**
   * A queue in an open forest.
   *
   * @param {Forest} forest
   * @param {object} [options]
   * @param {string} [options.name] the trees begin with it
   * @param {number} [options.leaseMs] how long a consumer may work on a job
   * @param {number} [options.attemptsMax] then the job is put aside: see `failed`
   * @param {(attempts: number) => number} [options.backoffMs] how long a job waits after a failure
   * @param {() => number} [options.now] the time, in milliseconds
   */
  constructor(
    forest,
    {
      name = 'queue',
      leaseMs = 30_000,
      attemptsMax = 5,
      backoffMs = (attempts) => 1000 * 2 ** (attempts - 1),
      now = Date.now,
    } = {},
  ) {
    this.#options = { leaseMs, attemptsMax, backoffMs, now };
    this.#forest = forest;
    /** @type {import('varve/forest').Codec<Entry>} */
    const value = codecs.json();
    const key = codecs.tuple(codecs.uint, codecs.uint);
    this.#jobs = forest.tree(`${name}/jobs`, { key, value });
    this.#failed = forest.tree(`${name}/failed`, { key: codecs.uint, value });
    this.#lastId = forest.tree(`${name}/last-id`, { key: codecs.utf8, value: codecs.uint });
  }

  /**
   * The id of a new job, once it is durable. The payload is anything that JSON can hold.
   *
   * @param {unknown} payload
   * @param {number} [runAt]
   */
  async add(payload, runAt) {
    return await this.#forest.transaction((tx) => this.addIn(tx, payload, runAt));
  }

  /**
   * Adds a job as a part of a transaction: together with the rest of it, or not at all.
   *
   * @param {Transaction} tx
   * @param {unknown} payload
   * @param {number} [runAt]
   */
  addIn(tx, payload, runAt = this.#options.now()) {
    const lastId = tx.tree(this.#lastId);
    const id = (lastId.get('jobs') ?? 0) + 1;
    lastId.put('jobs', id);
    tx.tree(this.#jobs).put([runAt, id], { payload, attempts: 0, error: '' });
    return id;
  }

  /**
   * The first job that is due, now leased to the caller. Undefined if none is due.
   *
   * @returns {Promise<Job | undefined>}
   */
  async take() {
    const { attemptsMax, leaseMs, now } = this.#options;
    return await this.#forest.transaction((tx) => {
      const jobs = tx.tree(this.#jobs);
      for (const [[runAt, id], entry] of jobs.range({ lt: [now() + 1, 0] })) {
        jobs.delete([runAt, id]);
        // A job that has killed its consumers is put aside, too.
        if (entry.attempts >= attemptsMax) tx.tree(this.#failed).put(id, entry);
        else {
          const leaseEnd = now() + leaseMs;
          const taken = { ...entry, attempts: entry.attempts + 1 };
          jobs.put([leaseEnd, id], taken);
          return { ...taken, id, leaseEnd };
        }
      }
      return undefined;
    });
  }

  /**
   * The job is done: it is gone once this resolves to true. `effect` writes what the job has done to
   * the same forest, in the same transaction. False, and nothing is written, if the lease has ended
   * and another consumer has taken the job.
   *
   * @param {Job} job
   * @param {(tx: Transaction) => void} [effect]
   */
  async finish(job, effect) {
    return await this.#forest.transaction((tx) => {
      if (this.#remove(tx, job) === undefined) return false;
      effect?.(tx);
      return true;
    });
  }

  /**
   * The job has failed: it is due again after a while, or put aside if this was its last attempt.
   * False if another consumer has taken it.
   *
   * @param {Job} job
   * @param {unknown} error
   */
  async retry(job, error) {
    const { attemptsMax, backoffMs, now } = this.#options;
    return await this.#forest.transaction((tx) => {
      const entry = this.#remove(tx, job);
      if (entry === undefined) return false;
      const { attempts } = entry;
      const next = { ...entry, error: String(error) };
      if (attempts >= attemptsMax) tx.tree(this.#failed).put(job.id, next);
      else tx.tree(this.#jobs).put([now() + backoffMs(attempts), job.id], next);
      return true;
    });
  }

  /**
   * Lengthens the lease. The job with its new lease, or undefined if another consumer has taken it.
   *
   * @param {Job} job
   * @returns {Promise<Job | undefined>}
   */
  async extend(job) {
    return await this.#forest.transaction((tx) => {
      const entry = this.#remove(tx, job);
      if (entry === undefined) return undefined;
      const leaseEnd = this.#options.now() + this.#options.leaseMs;
      tx.tree(this.#jobs).put([leaseEnd, job.id], entry);
      return { ...entry, id: job.id, leaseEnd };
    });
  }

  /**
   * Removes and returns the entry of a job that is still its holder's: whoever takes it next counts
   * one attempt more.
   *
   * @param {Transaction} tx
   * @param {Job} job
   */
  #remove(tx, { id, leaseEnd, attempts }) {
    const jobs = tx.tree(this.#jobs);
    const entry = jobs.get([leaseEnd, id]);
    if (entry?.attempts !== attempts) return undefined;
    jobs.delete([leaseEnd, id]);
    return entry;
  }

  /** All jobs that are not done, by the time at which they are due. */
  waiting() {
    return [...this.#jobs.range()].map(([[runAt, id], entry]) => ({ id, runAt, ...entry }));
  }

  /** Jobs that are put aside. */
  failed() {
    return [...this.#failed.range()].map(([id, entry]) => ({ id, ...entry }));
  }

  /**
   * Works on jobs, one at a time, until `signal` aborts; call it several times for several consumers.
   * A handler that throws has failed. It may return a function: the effect of `finish`. Rejects if the
   * queue cannot be read or written. Abort it, and wait for it, before you close the forest.
   *
   * @param {Handler} handler
   * @param {AbortSignal} signal
   */
  async consume(handler, signal) {
    while (!signal.aborted) {
      const job = await this.take();
      if (job === undefined) {
        await this.#untilDue(signal);
        continue;
      }
      try {
        const effect = await handler(job);
        await this.finish(job, effect ?? undefined);
      } catch (error) {
        await this.retry(job, error);
      }
    }
  }

  /**
   * Resolves when the first job may be due, or a commit has changed the queue. No commit is missed:
   * each is either in the state that `first` reads, or still to be reported to the listener.
   *
   * @param {AbortSignal} signal
   * @returns {Promise<void>}
   */
  #untilDue(signal) {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        stop();
        signal.removeEventListener('abort', wake);
        resolve();
      };
      const stop = this.#forest.onCommit(({ trees }) => {
        if (trees.includes(this.#jobs.name)) wake();
      });
      const runAt = this.#jobs.first()?.[0][0] ?? Number.POSITIVE_INFINITY;
      const timer = setTimeout(wake, Math.min(runAt - this.#options.now(), sleepMsMax));
      signal.addEventListener('abort', wake);
      if (signal.aborted) wake();
    });
  }
}

// ── a program that uses it ──

async function main() {
  const folder = await mkdtemp(join(tmpdir(), 'varve-jobs-'));
  try {
    const forest = await Forest.open(join(folder, 'jobs.varve'));
    let time = 0; // a clock of its own, so that the program does not wait
    const queue = new JobQueue(forest, { now: () => time, backoffMs: () => 0 });
    const sent = forest.tree('sent', { key: codecs.utf8, value: codecs.uint });

    await queue.add({ to: 'ada' });
    const lost = await queue.take(); // by a consumer that dies
    console.log(`taken, and never finished: ${JSON.stringify(lost?.payload)}`);
    time = lost?.leaseEnd ?? 0; // the job is due again

    const done = new AbortController();
    forest.onCommit(() => {
      if (sent.count() === 3) done.abort();
    });
    /** @type {Handler} */
    const send = async ({ payload, attempts }) => {
      const { to } = /** @type {{ to: string }} */ (payload);
      if (to === 'bob' && attempts === 1) throw new Error('the line is busy');
      return (tx) => tx.tree(sent).put(to, attempts);
    };
    const consumers = [1, 2].map(() => queue.consume(send, done.signal));
    await Promise.all([queue.add({ to: 'bob' }), queue.add({ to: 'eve' })]); // wakes both
    await Promise.all(consumers);

    for (const [to, attempts] of sent.range()) console.log(`${to}: attempt ${attempts}`);
    console.log(`left: ${queue.waiting().length}`);
    await forest.close();
  } finally {
    await rm(folder, { recursive: true });
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main();
