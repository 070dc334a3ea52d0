/**
 * Parts of pushed values: ranges and streams, through the vault.
 *
 * Invariants:
 * - Bytes are returned only after the vault has opened the frame that they are in.
 * - Of a value that came as a stream, only the frames of the range are read. One that was pushed in
 *   one piece is sealed whole: it is read whole.
 * - A value that is replaced between two reads, because it had been archived before, is read anew:
 *   its frames never mix with those of another one.
 *
 * Without a vault these are the store's own reads.
 */

import { invalidArgument, isVarveError } from '../../errors.ts';
import type { GrainId, ReadStreamOptions, Store } from '../../index.ts';
import { Breather } from '../../util/breather.ts';
import { FramedReader, frameCount, sealedFrameBytes } from '../nodes/framed-value.ts';
import type { NodeStore } from '../nodes/node-store.ts';
import { bodyOffsetOf, headBytes, readTag } from '../nodes/pushed-head.ts';
import { openValue } from '../nodes/pushed-value.ts';
import type { Hold } from './range-iterators.ts';

type Bytes = Uint8Array<ArrayBuffer>;

const chunkBytesDefault = 256 * 1024;

/** The state that a read needs. */
export interface PushedSource {
  readonly store: Store;
  readonly nodes: NodeStore;
  /** Keeps the values of now until it is released. */
  hold(): Hold;
}

/** Plain bytes from `start` to `end`. */
interface Span {
  readonly start: number;
  readonly end: number;
}

/** The stored bytes that a span needs, and how they are opened. */
interface SealedSpan {
  readonly reader: FramedReader;
  /** Index of the first frame. */
  readonly first: number;
  /** Stored bytes. */
  readonly from: number;
  readonly to: number;
  readonly plain: Span;
}

/** As `Store.readRange`. Throws `VARVE_VAULT`. */
export function readPushedRange(source: PushedSource, id: GrainId, span: Span): Bytes | undefined {
  const { store, nodes } = source;
  if (nodes.vault === undefined) return store.readRange(id, span.start, span.end);
  // The store checks the id and the start.
  const nothing = store.readRange(id, span.start, span.start);
  checkEnd('Forest.readRange', span.end);
  if (nothing === undefined) return undefined;
  const sealed = sealedSpan(source, id, span);
  if (sealed === undefined) return whole(openValue(nodes, id, store.get(id)), span);
  const stored = store.readRange(id, sealed.from, sealed.to);
  if (stored === undefined) return undefined;
  const taker = new SpanTaker(sealed);
  for (const part of sealed.reader.openAll(stored, sealed.first)) taker.take(part);
  return taker.bytes;
}

/** As `readPushedRange`, without blocking. */
export async function readPushedRangeAsync(
  source: PushedSource,
  id: GrainId,
  span: Span,
): Promise<Bytes | undefined> {
  const { store, nodes } = source;
  if (nodes.vault === undefined) return await store.readRangeAsync(id, span.start, span.end);
  const hold = source.hold();
  try {
    for (;;) {
      const head = await store.readRangeAsync(id, 0, headBytes);
      try {
        return await readSpan(source, id, span);
      } catch (error) {
        hold.check();
        if (!isVarveError(error, 'VARVE_VAULT')) throw error;
        const now = await store.readRangeAsync(id, 0, headBytes);
        // Each value has a tag number of its own.
        if (isSame(head, now)) throw error;
      }
    }
  } finally {
    hold.release();
  }
}

async function readSpan(source: PushedSource, id: GrainId, span: Span): Promise<Bytes | undefined> {
  const { store, nodes } = source;
  const nothing = await store.readRangeAsync(id, span.start, span.start);
  checkEnd('Forest.readRangeAsync', span.end);
  if (nothing === undefined) return undefined;
  const sealed = sealedSpan(source, id, span);
  if (sealed === undefined) return whole(openValue(nodes, id, await store.getAsync(id)), span);
  const stored = await store.readRangeAsync(id, sealed.from, sealed.to);
  if (stored === undefined) return undefined;
  const taker = new SpanTaker(sealed);
  const breather = new Breather();
  for (const part of sealed.reader.openAll(stored, sealed.first)) {
    taker.take(part);
    if (breather.due) await breather.turn();
  }
  return taker.bytes;
}

/** The store has checked the start. */
function checkEnd(method: string, end: unknown): void {
  if (Number.isSafeInteger(end) && (end as number) >= 0) return;
  throw invalidArgument(`${method}: end`, 'a whole number of bytes from 0', end);
}

function isSame(one: Uint8Array | undefined, other: Uint8Array | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}

function whole(plain: Bytes | undefined, { start, end }: Span): Bytes | undefined {
  return plain?.slice(start, Math.max(start, end));
}

/** Reads the head of a value; undefined if it is sealed whole. Throws `VARVE_VAULT`. */
function sealedSpan(
  { store, nodes }: PushedSource,
  id: GrainId,
  { start, end }: Span,
): SealedSpan | undefined {
  const head = store.readRange(id, 0, headBytes) ?? new Uint8Array(0);
  const bodyOffset = bodyOffsetOf(id, head);
  const tag = readTag(nodes, id, store.readRange(id, 0, bodyOffset) ?? head);
  if (tag.frames === undefined) return undefined;
  const reader = new FramedReader(nodes, id, tag, (store.lengthOf(id) ?? 0) - bodyOffset);
  const { length, frameBytes } = reader.layout;
  const plain = { start: Math.min(start, length), end: Math.min(Math.max(start, end), length) };
  const first = Math.min(Math.floor(plain.start / frameBytes), frameCount(reader.layout) - 1);
  const after = Math.max(first + 1, Math.ceil(plain.end / frameBytes));
  const step = sealedFrameBytes(reader.layout);
  return { reader, first, from: bodyOffset + first * step, to: bodyOffset + after * step, plain };
}

/** Takes the bytes of a span from opened frames. */
class SpanTaker {
  readonly bytes: Bytes;
  readonly #plain: Span;
  /** Offset of the next frame in the value. */
  #at: number;

  constructor({ reader, first, plain }: SealedSpan) {
    this.bytes = new Uint8Array(plain.end - plain.start);
    this.#plain = plain;
    this.#at = first * reader.layout.frameBytes;
  }

  take(part: Uint8Array): void {
    const { start, end } = this.#plain;
    const from = Math.max(start - this.#at, 0);
    const to = Math.min(end - this.#at, part.length);
    if (from < to) this.bytes.set(part.subarray(from, to), this.#at + from - start);
    this.#at += part.length;
  }
}

/** As `Store.createReadStream`. Errors with `VARVE_VAULT`. */
export function pushedStream(
  source: PushedSource,
  id: GrainId,
  options: ReadStreamOptions = {},
): ReadableStream<Bytes> | undefined {
  const { store, nodes } = source;
  if (nodes.vault === undefined) return store.createReadStream(id, options);
  // The store checks the arguments; a stream that is not read from holds nothing once cancelled.
  const asked = store.createReadStream(id, options);
  if (asked === undefined) return undefined;
  asked.cancel().catch(() => undefined);
  const { start = 0, end = Number.MAX_SAFE_INTEGER, chunkBytes = chunkBytesDefault } = options;
  const { signal } = options;
  const sealed = sealedSpan(source, id, { start, end });
  const stored = store.createReadStream(
    id,
    sealed === undefined
      ? { chunkBytes: Math.max(1, store.lengthOf(id) ?? 1), signal }
      : {
          start: sealed.from,
          end: sealed.to,
          chunkBytes: sealedFrameBytes(sealed.reader.layout),
          signal,
        },
  );
  if (stored === undefined) return undefined;
  const parts =
    sealed === undefined
      ? wholeParts(nodes, id, stored, { start, end })
      : frameParts(sealed, stored);
  return streamOf(parts, stored, chunkBytes);
}

type StoredReader = AsyncGenerator<Uint8Array>;

/** Plain bytes of the span, frame by frame. The store's chunks are the sealed frames. */
async function* frameParts(
  { reader, first, plain }: SealedSpan,
  stored: ReadableStream<Bytes>,
): StoredReader {
  let at = first * reader.layout.frameBytes;
  let index = first;
  for await (const frame of stored) {
    const part = reader.open(index, frame);
    const from = Math.max(plain.start - at, 0);
    yield part.subarray(from, Math.max(from, Math.min(plain.end - at, part.length)));
    at += part.length;
    index += 1;
  }
}

/** Plain bytes of a span of a value that is sealed whole. */
async function* wholeParts(
  nodes: NodeStore,
  id: GrainId,
  stored: ReadableStream<Bytes>,
  span: Span,
): StoredReader {
  let bytes: Bytes = new Uint8Array(0);
  for await (const chunk of stored) bytes = chunk;
  const plain = whole(openValue(nodes, id, bytes), span);
  if (plain !== undefined) yield plain;
}

/** A byte stream of these parts, in chunks. It holds nothing but `stored`, which has the guard. */
function streamOf(
  parts: StoredReader,
  stored: ReadableStream<Bytes>,
  chunkBytes: number,
): ReadableStream<Bytes> {
  let rest: Uint8Array = new Uint8Array(0);
  const next = async (): Promise<Bytes> => {
    const chunk = new Uint8Array(chunkBytes);
    let filled = 0;
    while (filled < chunkBytes) {
      if (rest.length === 0) {
        const { done, value } = await parts.next();
        if (done === true) break;
        rest = value;
        continue;
      }
      const part = rest.subarray(0, chunkBytes - filled);
      chunk.set(part, filled);
      filled += part.length;
      rest = rest.subarray(part.length);
    }
    return filled === chunkBytes ? chunk : chunk.slice(0, filled);
  };
  const stream = new ReadableStream({
    type: 'bytes',
    async pull(controller: ReadableByteStreamController): Promise<void> {
      const chunk = await next();
      if (chunk.length > 0) controller.enqueue(chunk);
      else {
        controller.close();
        controller.byobRequest?.respond(0);
      }
    },
    async cancel(reason): Promise<void> {
      await parts.return(undefined);
      if (!stored.locked) await stored.cancel(reason);
    },
  });
  return stream as ReadableStream<Bytes>;
}
