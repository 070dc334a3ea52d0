/**
 * The ground of a random program of streams: the store on its disk, the model of its values, and
 * the random numbers.
 *
 * Invariant: asynchronous reads and writes of the file wait until one is let through. A call that
 * may be refused ends in `VARVE_IO` or well; anything else is a defect.
 */

import { isVarveError } from '../../../src/errors.ts';
import { type FileSystem, type GrainId, Store } from '../../../src/index.ts';
import { patternOf } from '../../support/bytes.ts';
import { type Gate, WrappedFileSystem } from '../../support/disks/wrapped-file-system.ts';
import { turns } from '../../support/fixtures/store-checks.ts';
import { Random } from '../../support/random.ts';

/** A committed value of the model. */
export interface Value {
  readonly bytes: Uint8Array;
  /** The batch that made it durable, that which archived it, and one by which it was freed. */
  readonly from: number;
  archivedIn?: number;
  freedIn?: number;
}

const lengths = [0, 1, 31, 500, 4000, 70_000, 524_280, 524_288, 524_289, 700_000, 1_300_000];
const path = 'trial';

export class TrialGround {
  readonly random: Random;
  readonly #disk: WrappedFileSystem;
  /** A call of the disk may fail. */
  readonly mayRefuse: boolean;
  readonly gates: Gate[];
  readonly values = new Map<GrainId, Value>();
  /** All values that there ever were, in order. */
  readonly history: { readonly id: GrainId; readonly value: Value }[] = [];
  /** Defects found in callbacks. */
  readonly broken: unknown[] = [];
  /** What has happened, so that a test sees that the programs get anywhere. */
  readonly counts = new Map<string, number>();
  /** It is neither being opened nor closed: calls may fail. */
  isOpen = false;
  seed = 1;
  #store: Store | undefined;
  #reopened = false;

  constructor(seed: number, fileSystem: FileSystem, mayRefuse: boolean) {
    this.random = new Random(seed);
    this.#disk = new WrappedFileSystem(fileSystem);
    this.mayRefuse = mayRefuse;
    this.gates = [this.#disk.hold('read'), this.#disk.hold('write')];
  }

  get store(): Store {
    if (this.#store === undefined) throw new Error('the store is not open');
    return this.#store;
  }

  async open(): Promise<void> {
    const options = { fileSystem: this.#disk, settleBytes: 2048, cacheBytes: 256 * 1024 };
    this.#reopened = this.#store !== undefined;
    this.#store = await this.settled(Store.open(path, options));
    this.isOpen = true;
  }

  async close(): Promise<void> {
    this.isOpen = false;
    await this.settled(this.store.close());
  }

  async openReader(): Promise<Store> {
    const options = { fileSystem: this.#disk, readOnly: true, cacheBytes: 64 * 1024 };
    this.isOpen = false;
    const store = await this.settled(Store.open(path, options));
    this.isOpen = true;
    return store;
  }

  add(id: GrainId, value: Value): void {
    if (this.values.has(id)) throw new Error('an id is given to two values');
    this.values.set(id, value);
    this.history.push({ id, value });
  }

  /** The value has been freed by the current batch. */
  free(id: GrainId, value: Value): void {
    this.values.delete(id);
    value.freedIn = this.store.currentBatch;
  }

  /** The writer has moved on since that batch, or settled it anew. */
  movedOn(batch: number): boolean {
    return this.#reopened || this.store.currentBatch > batch;
  }

  count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  of<T>(list: readonly T[]): T | undefined {
    return list[this.random.below(list.length)];
  }

  bytes(): Uint8Array {
    this.seed += 1;
    return patternOf(this.of(lengths) ?? 0, this.seed);
  }

  /** Lets calls through until the promise has settled. */
  async settled<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const done = (): void => {
      settled = true;
    };
    promise.then(done, done);
    for (let turn = 0; !settled; turn++) {
      await turns(1);
      for (const gate of this.gates) gate.next();
      if (turn > 20_000) throw new Error('a promise never settles');
    }
    return await promise;
  }

  /** The result; undefined where the disk has refused, and may. */
  async tried<T>(what: string, call: () => Promise<T>): Promise<T | undefined> {
    try {
      return await this.settled(call());
    } catch (error) {
      this.checkRefusal(what, error);
      return undefined;
    }
  }

  checkRefusal(what: string, error: unknown): void {
    if (!this.mayRefuse || !isVarveError(error, 'VARVE_IO')) {
      throw new Error(`${what}: ${error}`, { cause: error });
    }
    this.count(`${what} refused`);
  }

  /** The bytes are read, or the disk refuses and may. */
  same(read: () => Uint8Array | undefined, expected: Uint8Array): void {
    let found: Uint8Array | undefined;
    try {
      found = read();
    } catch (error) {
      this.checkRefusal('get', error);
      return;
    }
    expectSame(found, expected);
  }
}

export function expectSame(found: Uint8Array | undefined, expected: Uint8Array): void {
  if (found !== undefined && Buffer.compare(found, expected) === 0) return;
  throw new Error(`${found?.length} bytes, or others than the ${expected.length} expected`);
}
