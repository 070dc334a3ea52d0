/**
 * The readers of a random program of streams: streams that are read chunk by chunk, and ranges.
 *
 * Invariant: a stream gives the bytes of its range and ends, or ends in `VARVE_NOT_FOUND` if its
 * value was archived when it began and has been freed since. While it is not at its end it holds
 * its batch.
 */

import { isVarveError } from '../../../src/errors.ts';
import type { GrainId } from '../../../src/index.ts';
import { expectSame, type TrialGround, type Value } from './trial-ground.ts';

/** Both kinds of readers of a stream, with the memory of one of them. */
interface ChunkReader {
  read(): Promise<{ done: boolean; value?: Uint8Array | undefined }>;
  cancel(): Promise<void>;
}

interface Read {
  readonly id: GrainId;
  readonly value: Value;
  readonly reader: ChunkReader;
  readonly abort: AbortController;
  readonly expected: Uint8Array;
  readonly batch: number;
  /** The value was archived when the stream began: it may be freed. */
  readonly mayGo: boolean;
  at: number;
  pending: Promise<void> | undefined;
}

export class TrialReads {
  readonly #ground: TrialGround;
  #reads: Read[] = [];

  constructor(ground: TrialGround) {
    this.#ground = ground;
  }

  compare(): void {
    for (const { id, value } of this.#gone.splice(0)) {
      if (this.#ground.values.get(id) === value) throw new Error('a value is there, and not found');
      this.#ground.count('gone');
    }
    const { oldestGuard } = this.#ground.store.statistics();
    const held = this.#held;
    if ((oldestGuard ?? Infinity) > held) throw new Error(`nothing holds batch ${held}`);
    const isHeld =
      oldestGuard === undefined || this.#reads.some(({ batch }) => batch === oldestGuard);
    if (!isHeld) throw new Error(`a guard of batch ${oldestGuard} is left`);
  }

  /** The store is being closed. */
  dropAll(): void {
    this.#reads = [];
  }

  async cancelAll(): Promise<void> {
    for (const read of this.#reads) await this.#cancel(read);
    this.#reads = [];
  }

  async checkpoint(): Promise<void> {
    const { store } = this.#ground;
    await this.#ground.tried('checkpoint', () => store.checkpointTo(store.currentBatch));
    if (store.checkpoint > this.#held) throw new Error('a checkpoint has passed a stream');
    for (const [id, value] of this.#ground.values) {
      const { archivedIn } = value;
      if (archivedIn !== undefined && archivedIn <= store.checkpoint) this.#ground.free(id, value);
    }
  }

  startRead(): void {
    const id = this.#ground.of([...this.#ground.values.keys()]);
    const value = id === undefined ? undefined : this.#ground.values.get(id);
    if (id === undefined || value === undefined || this.#reads.length > 5) return;
    const { length } = value.bytes;
    const whole = this.#ground.random.chance(0.5);
    const start = whole ? 0 : this.#ground.random.below(length + 2);
    const end = whole ? undefined : this.#ground.random.below(length + 9);
    const chunkBytes = this.#ground.of([undefined, 1 + this.#ground.random.below(length + 1)]);
    const abort = new AbortController();
    const stream = this.#ground.store.createReadStream(id, {
      start,
      end,
      chunkBytes,
      signal: abort.signal,
    });
    if (stream === undefined) throw new Error('there is no such value');
    const expected = value.bytes.subarray(start, Math.max(start, end ?? length));
    const mayGo = value.archivedIn !== undefined;
    const batch = this.#ground.store.currentBatch;
    const reader = this.#readerOf(stream);
    const read = { id, value, reader, abort, expected, batch, mayGo, at: 0, pending: undefined };
    this.#reads.push(read);
  }

  /** Reads with memory of its own, or takes the stream's. */
  #readerOf(stream: ReadableStream<Uint8Array>): ChunkReader {
    if (this.#ground.random.chance(0.5)) return stream.getReader();
    const reader = stream.getReader({ mode: 'byob' });
    const lengths = [1 + this.#ground.random.below(100_000), 600_000];
    return {
      read: () => reader.read(new Uint8Array(this.#ground.of(lengths) ?? 1)),
      cancel: () => reader.cancel(),
    };
  }

  readOn(): void {
    const read = this.#ground.of(this.#reads);
    if (read === undefined || read.pending !== undefined) return;
    read.pending = this.#readChunk(read)
      .catch((error: unknown) => {
        this.#ground.broken.push(error);
      })
      .finally(() => {
        read.pending = undefined;
      });
  }

  async #readChunk(read: Read): Promise<void> {
    try {
      const { done, value } = await read.reader.read();
      if (done || value === undefined) {
        this.#reads = this.#reads.filter((one) => one !== read);
        if (read.at !== read.expected.length) throw new Error(`a stream ends at ${read.at}`);
        this.#ground.count('read');
        return;
      }
      const expected = read.expected.subarray(read.at, read.at + value.length);
      if (Buffer.compare(value, expected) !== 0) throw new Error('a stream has other bytes');
      read.at += value.length;
    } catch (error) {
      if (!this.#reads.includes(read)) return;
      this.#reads = this.#reads.filter((one) => one !== read);
      this.#checkEnd(read, error);
    }
  }

  /** The batch that streams hold; those may have ended that a refused read or a freed value ends. */
  get #held(): number {
    const holding = this.#reads.filter(({ mayGo, at, expected }) => !mayGo && at < expected.length);
    return this.#ground.mayRefuse ? Infinity : Math.min(...holding.map(({ batch }) => batch));
  }

  /** The stream may end with this error. */
  #checkEnd(read: Read, error: unknown): void {
    if (isVarveError(error, 'VARVE_NOT_FOUND') && read.mayGo) this.#gone.push(read);
    else this.#ground.checkRefusal('stream', error);
  }

  /** Streams that say that their value has been freed. */
  readonly #gone: Read[] = [];

  /** Cancels a stream, which may have ended badly without being asked. */
  async #cancel(read: Read): Promise<void> {
    await read.reader.cancel().catch((error: unknown) => this.#checkEnd(read, error));
  }

  async stopRead(): Promise<void> {
    const read = this.#ground.of(this.#reads);
    if (read === undefined) return;
    this.#reads = this.#reads.filter((one) => one !== read);
    if (this.#ground.random.chance(0.5)) await this.#cancel(read);
    else read.abort.abort(new Error('stopped'));
    this.#ground.count('stopped');
  }

  async readRange(): Promise<void> {
    const [id, value] = this.#ground.of([...this.#ground.values]) ?? [];
    if (id === undefined || value === undefined) return;
    const { length } = value.bytes;
    const start = this.#ground.random.below(length + 2);
    const end = this.#ground.random.below(length + 9);
    const expected = value.bytes.subarray(start, Math.max(start, end));
    try {
      expectSame(this.#ground.store.readRange(id, start, end), expected);
    } catch (error) {
      this.#ground.checkRefusal('readRange', error);
    }
    const read = (async () => ({
      bytes: await this.#ground.store.readRangeAsync(id, start, end),
    }))();
    const found = await this.#ground.tried('readRangeAsync', () => read);
    if (found !== undefined) expectSame(found.bytes, expected);
  }
}
