/**
 * Values that came as a stream, as a forest with a vault stores them: in frames, each sealed by
 * itself, so that neither writing nor reading needs the whole value.
 *
 * Invariants:
 * - Each frame is sealed with its index and whether it is the last: frames that are missing, moved,
 *   repeated or cut off are `VARVE_VAULT`.
 * - Every frame but the last has `frameBytes`; the last has at least one byte, unless the value is
 *   empty. So a length has one layout only.
 *
 * It reads and writes no store. The layout is in `spec/forest.md`.
 */

import type { FrameName } from '../../codecs/vault.ts';
import { VarveError } from '../../errors.ts';
import type { GrainId } from '../../index.ts';
import type { NodeStore } from './node-store.ts';
import { type FrameLayout, notPushed, type PushedTag } from './pushed-head.ts';

/** Plain bytes of a frame in new values. */
export const frameBytesDefault = 64 * 1024;

/** Stored bytes of a frame, except the last. */
export function sealedFrameBytes({ frameBytes, addedBytes }: FrameLayout): number {
  return frameBytes + addedBytes;
}

/** Number of frames: at least one. */
export function frameCount({ length, frameBytes }: FrameLayout): number {
  return Math.max(1, Math.ceil(length / frameBytes));
}

/** Stored bytes of all frames. */
export function framedBytes(layout: FrameLayout): number {
  return layout.length + frameCount(layout) * layout.addedBytes;
}

/** Plain bytes of the frame. */
export function plainBytesOf(layout: FrameLayout, index: number): number {
  const { length, frameBytes } = layout;
  return Math.min(frameBytes, length - index * frameBytes);
}

function frameName(number: number, layout: FrameLayout, index: number): FrameName {
  return { number, index, isLast: index === frameCount(layout) - 1 };
}

/** Seals a frame. Throws `VARVE_VAULT`, also if the vault adds another number of bytes. */
export function sealFrame(
  nodes: NodeStore,
  { number, frames }: { readonly number: number; readonly frames: FrameLayout },
  index: number,
  plain: Uint8Array,
): Uint8Array {
  const sealed = nodes.sealFrame(frameName(number, frames, index), plain);
  const expected = plain.length + frames.addedBytes;
  if (sealed.length === expected) return sealed;
  throw wrongOverhead(nodes, plain.length, sealed.length);
}

/** The vault adds another number of bytes than it says. */
export function wrongOverhead(
  { vault }: NodeStore,
  plainBytes: number,
  actual: number,
): VarveError {
  const added = vault?.overheadBytes ?? 0;
  const message =
    `the vault '${vault?.name}' says that it adds ${added} bytes, and made ${actual} of ` +
    `${plainBytes}: correct its overheadBytes`;
  return new VarveError('VARVE_VAULT', message, { expected: plainBytes + added, actual });
}

/** The frames of a stored value, to be opened. */
export class FramedReader {
  readonly layout: FrameLayout;
  readonly #nodes: NodeStore;
  readonly #id: GrainId;
  readonly #number: number;

  /**
   * `bodyBytes`: stored bytes behind the tag. Throws `VARVE_VAULT` if the value cannot be of these
   * frames.
   */
  constructor(nodes: NodeStore, id: GrainId, { number, frames }: PushedTag, bodyBytes: number) {
    if (frames === undefined || frames.frameBytes === 0 || framedBytes(frames) !== bodyBytes) {
      throw notPushed(id);
    }
    this.layout = frames;
    this.#nodes = nodes;
    this.#id = id;
    this.#number = number;
  }

  /** Opens a frame. Throws `VARVE_VAULT`. */
  open(index: number, sealed: Uint8Array): Uint8Array {
    const plain = this.#nodes.openFrame(frameName(this.#number, this.layout, index), sealed);
    if (plain.length !== plainBytesOf(this.layout, index)) throw notPushed(this.#id);
    return plain;
  }

  /** Opens the frames from `first` on that are in `sealed`, one after the other. */
  *openAll(sealed: Uint8Array, first = 0): Generator<Uint8Array> {
    const step = sealedFrameBytes(this.layout);
    for (let at = 0, index = first; at < sealed.length; at += step, index++) {
      yield this.open(index, sealed.subarray(at, Math.min(at + step, sealed.length)));
    }
  }
}
