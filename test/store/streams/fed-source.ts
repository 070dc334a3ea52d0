/**
 * A source of a pushed stream that a test feeds: chunk by chunk, in the order that the test wants.
 *
 * Invariant: it answers a question for a chunk only when it is fed, ended or failed. Its chunks lie
 * in one memory that is used again once the next chunk is asked for, as a source may do it.
 */

type Answer = IteratorResult<Uint8Array>;

export class FedSource {
  readonly #bytes: Uint8Array;
  #given = 0;
  #memory = new Uint8Array(0);
  /** What is to be answered, and who waits for an answer. */
  readonly #answers: (() => Promise<Answer>)[] = [];
  #waiting: ((answer: Promise<Answer>) => void) | undefined;
  /** Chunks that were asked for. */
  asked = 0;
  /** Why it was cancelled; a source that was cancelled once is not cancelled again. */
  readonly cancelled: unknown[] = [];

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#given;
  }

  /** The next bytes of the value, fewer at its end; then others. */
  feed(length: number): void {
    const chunk = new Uint8Array(length).fill(99);
    chunk.set(this.#bytes.subarray(this.#given, this.#given + length));
    this.#given = Math.min(this.#bytes.length, this.#given + length);
    this.feedChunk(chunk);
  }

  feedChunk(value: Uint8Array): void {
    this.#answer(async () => ({ done: false, value: this.#inOneMemory(value) }));
  }

  end(): void {
    this.#answer(async () => ({ done: true, value: undefined }));
  }

  fail(error: unknown): void {
    this.#answer(async () => {
      throw error;
    });
  }

  /** In the memory of the chunk before, which its receiver must have done with. */
  #inOneMemory(chunk: Uint8Array): Uint8Array {
    this.#memory.fill(0xee);
    if (this.#memory.length < chunk.length) this.#memory = new Uint8Array(chunk.length);
    this.#memory.set(chunk);
    return this.#memory.subarray(0, chunk.length);
  }

  #answer(answer: () => Promise<Answer>): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting === undefined) this.#answers.push(answer);
    else waiting(answer());
  }

  async #next(): Promise<Answer> {
    this.asked += 1;
    const answer = this.#answers.shift();
    if (answer !== undefined) return await answer();
    return await new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }

  /** As an iterator; it never answers after a cancel, as a generator that waits. */
  get iterable(): AsyncIterable<Uint8Array> {
    const iterator: AsyncIterator<Uint8Array> = {
      next: () => this.#next(),
      return: (): Promise<Answer> => {
        this.cancelled.push('returned');
        return new Promise(() => undefined);
      },
    };
    return { [Symbol.asyncIterator]: () => iterator };
  }

  get stream(): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          const { done, value } = await this.#next();
          if (this.cancelled.length > 0) return;
          if (done === true) controller.close();
          else controller.enqueue(value.slice());
        },
        cancel: (reason) => {
          this.cancelled.push(reason);
          throw new Error('a source that does not even cancel');
        },
      },
      { highWaterMark: 0 },
    );
  }
}
