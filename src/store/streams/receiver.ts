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
import { type ByteSource, ChunkReader } from '../../util/streams/byte-source.ts';
import type { PieceWriter } from './piece-writer.ts';
import type { RunningPush } from './running-push.ts';

export class Receiver {
  readonly #push: RunningPush;
  readonly #chunks: ChunkReader;
  /** The method that was called. */
  readonly #method: string;

  constructor(push: RunningPush, source: ByteSource, method: string) {
    this.#push = push;
    this.#chunks = new ChunkReader(source, method);
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
      this.#chunks.cancel(error);
      throw error;
    }
    this.#chunks.ended();
  }

  /** The next chunk; undefined at the end of the source. */
  #next(writer: PieceWriter): Promise<Uint8Array | undefined> {
    return this.#push.wait(() => {
      const asked = this.#chunks.next();
      writer.digest();
      return asked;
    });
  }

  #wrongLength(expected: number, actual: number): Error {
    return invalidArgument(this.#method, `a source of ${expected} bytes`, actual);
  }
}
