/**
 * Receives the chunks of a source for a push.
 *
 * Invariants:
 * - The source is cancelled if the push fails, unless the source has ended or failed by itself.
 * - The push goes on only with exactly the bytes that it is for, and with the end of the source.
 * - A source that always has a chunk does not keep the event loop from its turns.
 */

import { invalidArgument } from '../../errors.ts';
import { Breather } from '../../util/breather.ts';
import { isBytes } from '../../util/bytes.ts';
import type { ByteSource } from '../../util/streams/byte-source.ts';
import type { PieceWriter } from './piece-writer.ts';
import type { RunningPush } from './running-push.ts';

export class Receiver {
  readonly #push: RunningPush;
  readonly #source: ByteSource;
  /** The method that was called. */
  readonly #method: string;
  /** The source has ended or failed. */
  #isOver = false;

  constructor(push: RunningPush, source: ByteSource, method: string) {
    this.#push = push;
    this.#source = source;
    this.#method = method;
  }

  /**
   * Hands all bytes to `writer`. Rejects with the source's own error, `VARVE_INVALID_ARGUMENT` for
   * more or fewer than `length` bytes, the error that ends the push, and as `PieceWriter.add`.
   */
  async receive(writer: PieceWriter, length: number): Promise<void> {
    const breather = new Breather();
    let received = 0;
    try {
      for (;;) {
        const chunk = await this.#next(writer);
        if (chunk === undefined) break;
        received += chunk.length;
        if (received > length) throw this.#wrongLength(length, received);
        await writer.add(chunk);
        if (breather.due) await this.#push.wait(() => breather.turn());
      }
      if (received < length) throw this.#wrongLength(length, received);
    } catch (error) {
      if (!this.#isOver) this.#source.cancel(error);
      throw error;
    }
    this.#source.ended();
  }

  /** The next chunk; undefined at the end of the source. */
  async #next(writer: PieceWriter): Promise<Uint8Array | undefined> {
    const result = await this.#push.wait(() => {
      const asked = this.#asked();
      writer.digest();
      return asked;
    });
    if (result.done === true) {
      this.#isOver = true;
      return undefined;
    }
    const { value } = result;
    if (!isBytes(value)) throw invalidArgument(this.#method, 'chunks that are Uint8Arrays', value);
    return value;
  }

  /** The answer of the source. Its failure is the end of the source. */
  async #asked(): Promise<IteratorResult<unknown>> {
    try {
      const result = await this.#source.next();
      if (typeof result === 'object' && result !== null) return result as IteratorResult<unknown>;
    } catch (error) {
      this.#isOver = true;
      throw error;
    }
    const expected = 'a source that gives objects with done and value';
    throw invalidArgument(this.#method, expected, undefined);
  }

  #wrongLength(expected: number, actual: number): Error {
    return invalidArgument(this.#method, `a source of ${expected} bytes`, actual);
  }
}
