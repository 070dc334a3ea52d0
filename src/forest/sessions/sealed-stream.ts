/**
 * A stream of the user's as a vault seals it: the head with the tag, then frame after frame.
 *
 * Invariants:
 * - Memory is bounded by two frames. The source is asked only when the store asks for the next
 *   chunk.
 * - The last frame is sealed only when the source has ended after exactly `length` bytes.
 * - The source is cancelled if anything else fails, unless it has ended or failed by itself.
 *
 * The store pushes what it yields; this file reserves and writes nothing.
 */

import { invalidArgument } from '../../errors.ts';
import type { GrainId, PushStreamOptions, Session } from '../../index.ts';
import { type ByteSource, ChunkReader, readSource } from '../../util/streams/byte-source.ts';
import {
  frameBytesDefault,
  frameCount,
  framedBytes,
  plainBytesOf,
  sealFrame,
  wrongOverhead,
} from '../nodes/framed-value.ts';
import type { NodeStore } from '../nodes/node-store.ts';
import {
  type FrameLayout,
  headBytes,
  plainTagBytes,
  TagTooLong,
  writeHead,
} from '../nodes/pushed-head.ts';

const nothing = new Uint8Array(0);

/** The number and the layout that a value is sealed with. */
interface FramedValue {
  readonly number: number;
  readonly frames: FrameLayout;
}

/** A stream to be pushed, and the method that was called. */
export interface GivenStream {
  readonly method: string;
  readonly source: unknown;
  readonly options: PushStreamOptions;
}

/**
 * Pushes a stream in sealed frames. Requires: the vault says how many bytes it adds, and the length
 * is a whole number. Rejects as `Session.pushStream`, and with `VARVE_VAULT`.
 */
export async function pushFrames(
  nodes: NodeStore,
  session: Session,
  { method, source, options }: GivenStream,
): Promise<GrainId> {
  const addedBytes = nodes.vault?.overheadBytes ?? 0;
  const frames = { length: options.length, frameBytes: frameBytesDefault, addedBytes };
  const value = { number: nodes.takeSeal(), frames };
  const room = plainTagBytes.framed + addedBytes;
  const sealed = new SealedFrames(nodes, readSource(method, source), value, method);
  const make = (id: GrainId) => streamOf(sealedHead(nodes, id, value), sealed);
  const length = headBytes + room + framedBytes(frames);
  try {
    return await session.pushStreamWith(make, { length, signal: options.signal });
  } catch (error) {
    // The store may have had no grains, or the vault no tag: then nothing has read the frames.
    sealed.cancel(error);
    throw error;
  }
}

/** Head and tag. The tag has exactly its room, if the vault adds what it says. */
function sealedHead(nodes: NodeStore, id: GrainId, value: FramedValue): Uint8Array {
  const room = plainTagBytes.framed + value.frames.addedBytes;
  const head = new Uint8Array(headBytes + room);
  try {
    writeHead(nodes, head, room, { id, ...value });
  } catch (error) {
    if (!(error instanceof TagTooLong)) throw error;
    throw wrongOverhead(nodes, plainTagBytes.framed, error.tagBytes);
  }
  return head;
}

function streamOf(head: Uint8Array, frames: SealedFrames): ReadableStream<Uint8Array> {
  let first: Uint8Array | undefined = head;
  let isCancelled = false;
  const pull = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
    const chunk = first ?? (await frames.next());
    first = undefined;
    // The source may answer after the push has ended.
    if (isCancelled) return;
    if (chunk === undefined) controller.close();
    else controller.enqueue(chunk);
  };
  const cancel = (reason: unknown): void => {
    isCancelled = true;
    frames.cancel(reason);
  };
  // Nothing is asked for in advance: a chunk's memory is used again for the next one.
  return new ReadableStream({ pull, cancel }, { highWaterMark: 0 });
}

class SealedFrames {
  readonly #nodes: NodeStore;
  readonly #chunks: ChunkReader;
  readonly #value: FramedValue;
  readonly #method: string;
  /** The frame that fills. */
  readonly #plain: Uint8Array;
  /** The sealed frame that was handed out last. */
  readonly #sealed: Uint8Array;
  /** Bytes of the last chunk that are in no frame yet. */
  #rest: Uint8Array = nothing;
  #index = 0;
  #received = 0;

  constructor(nodes: NodeStore, source: ByteSource, value: FramedValue, method: string) {
    const { frames } = value;
    this.#nodes = nodes;
    this.#chunks = new ChunkReader(source, method);
    this.#value = value;
    this.#method = method;
    this.#plain = new Uint8Array(plainBytesOf(frames, 0));
    this.#sealed = new Uint8Array(this.#plain.length + frames.addedBytes);
  }

  /** The next frame, sealed: valid until the next call. Undefined after the last. */
  async next(): Promise<Uint8Array | undefined> {
    const { frames } = this.#value;
    if (this.#index === frameCount(frames)) return undefined;
    try {
      return await this.#next(plainBytesOf(frames, this.#index));
    } catch (error) {
      this.cancel(error);
      throw error;
    }
  }

  async #next(wanted: number): Promise<Uint8Array> {
    const { frames } = this.#value;
    for (let filled = 0; filled < wanted; ) {
      if (this.#rest.length === 0 && !(await this.#ask())) throw this.#wrongLength();
      const part = this.#rest.subarray(0, wanted - filled);
      this.#plain.set(part, filled);
      this.#rest = this.#rest.subarray(part.length);
      filled += part.length;
    }
    const isLast = this.#index === frameCount(frames) - 1;
    if (isLast) await this.#end();
    const plain = this.#plain.subarray(0, wanted);
    const sealed = sealFrame(this.#nodes, this.#value, this.#index, plain);
    this.#index += 1;
    // Copied at once: the vault may use its memory again before the store has taken these bytes.
    this.#sealed.set(sealed);
    return this.#sealed.subarray(0, sealed.length);
  }

  /** The source must end now. */
  async #end(): Promise<void> {
    while (this.#rest.length === 0 && (await this.#ask()));
    if (this.#rest.length > 0) throw this.#wrongLength();
  }

  /** Takes the next chunk; false at the end of the source. */
  async #ask(): Promise<boolean> {
    const chunk = await this.#chunks.next();
    if (chunk === undefined) {
      this.#chunks.ended();
      return false;
    }
    this.#rest = chunk;
    this.#received += chunk.length;
    return true;
  }

  cancel(reason: unknown): void {
    this.#chunks.cancel(reason);
  }

  #wrongLength(): Error {
    const expected = `a source of ${this.#value.frames.length} bytes`;
    return invalidArgument(this.#method, expected, this.#received);
  }
}
