/**
 * A store that is open read-only beside the writer of a random program, and its streams: the writer
 * goes on between any two of their reads, frees their values and uses the ids again.
 *
 * Invariant: whatever it reads is the value that the id had as of its batch, byte by byte, or none,
 * or `VARVE_SNAPSHOT_GONE` once the writer has moved on. It holds nothing back.
 */

import { isVarveError } from '../../../src/errors.ts';
import type { GrainId, Store } from '../../../src/index.ts';
import { expectSame, type TrialGround } from './trial-ground.ts';

type Bytes = Uint8Array | undefined;

interface Read {
  readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly expected: Uint8Array;
  /** Of the state that the stream reads; a later `refresh` does not move it. */
  readonly batch: number;
  at: number;
  pending: boolean;
}

const readsMax = 4;

export class TrialReader {
  readonly #ground: TrialGround;
  #store: Store | undefined;
  #reads: Read[] = [];

  constructor(ground: TrialGround) {
    this.#ground = ground;
  }

  get store(): Store {
    if (this.#store === undefined) throw new Error('the reader is not open');
    return this.#store;
  }

  async open(): Promise<void> {
    this.#store = await this.#ground.openReader();
  }

  async close(): Promise<void> {
    const reads = this.#reads.splice(0);
    const ended = reads.map(({ reader }) => reader.cancel().catch(() => undefined));
    await this.#ground.settled(Promise.all(ended));
    await this.#ground.settled(this.store.close());
  }

  async refresh(): Promise<void> {
    await this.#ground.tried('refresh', () => this.store.refresh());
  }

  /** The value that the id has as of the reader's batch. */
  #valueOf(id: GrainId, batch: number): Bytes {
    const found = this.#ground.history.find(
      (one) => one.id === id && one.value.from <= batch && (one.value.freedIn ?? Infinity) > batch,
    );
    return found?.value.bytes;
  }

  /** An id that some value has, had, or will have once the reader moves on. */
  #anyId(): GrainId | undefined {
    const { history, random } = this.#ground;
    const recent = random.chance(0.7) ? history.slice(-12) : history;
    return this.#ground.of(recent)?.id;
  }

  startRead(): void {
    const id = this.#anyId();
    if (id === undefined || this.#reads.length >= readsMax) return;
    const batch = this.store.currentBatch;
    const bytes = this.#valueOf(id, batch);
    const start = this.#ground.random.chance(0.5) ? 0 : this.#ground.random.below(90_000);
    const chunkBytes = 1 + this.#ground.random.below((bytes?.length ?? 0) + 1);
    const stream = this.#answer('has', batch, () =>
      this.store.createReadStream(id, { start, chunkBytes }),
    );
    if (stream === 'refused') return;
    if ((stream === undefined) !== (bytes === undefined)) {
      throw new Error(`a stream beside a writer: ${stream}, ${bytes?.length} bytes expected`);
    }
    if (stream === undefined || bytes === undefined) return;
    const expected = bytes.subarray(start);
    this.#reads.push({ reader: stream.getReader(), expected, batch, at: 0, pending: false });
  }

  readOn(): void {
    const read = this.#ground.of(this.#reads);
    if (read === undefined || read.pending) return;
    read.pending = true;
    this.#readChunk(read)
      .catch((error: unknown) => this.#ground.broken.push(error))
      .finally(() => {
        read.pending = false;
      });
  }

  async #readChunk(read: Read): Promise<void> {
    const result = await read.reader.read().catch((error: unknown) => {
      if (this.#reads.includes(read)) this.#checkError('stream', read.batch, error);
      return undefined;
    });
    // Cancelled meanwhile.
    if (!this.#reads.includes(read)) return;
    if (result === undefined || result.done) {
      this.#reads = this.#reads.filter((one) => one !== read);
      if (result === undefined) return;
      if (read.at !== read.expected.length) throw new Error(`a reader's stream ends at ${read.at}`);
      this.#ground.count('reader read');
      return;
    }
    const expected = read.expected.subarray(read.at, read.at + result.value.length);
    expectSame(result.value, expected);
    read.at += result.value.length;
  }

  async readRange(): Promise<void> {
    const id = this.#anyId();
    if (id === undefined) return;
    const batch = this.store.currentBatch;
    const start = this.#ground.random.below(2000);
    const end = start + this.#ground.random.below(90_000);
    const expected = this.#valueOf(id, batch)?.subarray(start, end);
    const found = this.#answer('readRange', batch, () => this.store.readRange(id, start, end));
    if (found !== 'refused') expectRange(found, expected);
    // The writer does not stand still, but for this step it does; the gates let each read through.
    const read = this.store.readRangeAsync(id, start, end);
    const later = await this.#ground.settled(read).catch((error: unknown) => {
      this.#checkError('readRangeAsync', batch, error);
      return 'refused' as const;
    });
    if (later !== 'refused') expectRange(later, expected);
  }

  #answer<T>(what: string, batch: number, read: () => T): T | 'refused' {
    try {
      return read();
    } catch (error) {
      this.#checkError(what, batch, error);
      return 'refused';
    }
  }

  #checkError(what: string, batch: number, error: unknown): void {
    if (!isVarveError(error, 'VARVE_SNAPSHOT_GONE')) {
      this.#ground.checkRefusal(`reader: ${what}`, error);
    } else if (this.#ground.movedOn(batch)) this.#ground.count('reader gone');
    else throw error;
  }
}

function expectRange(found: Bytes, expected: Bytes): void {
  if (expected !== undefined) expectSame(found, expected);
  else if (found !== undefined) throw new Error(`${found.length} bytes of no value`);
}
