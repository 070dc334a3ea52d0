/**
 * The beginning of a value of the user's as a forest with a vault stores it: its form, and the
 * sealed tag.
 *
 * A reader knows only the GrainId. Therefore the tag has the GrainId that the value was pushed
 * under, and the number that its body or its frames are sealed under.
 *
 * Invariant: a tag is accepted only for the GrainId that it was made for. This file reads no body.
 * The layout is in `spec/forest.md`.
 */

import { VarveError } from '../../errors.ts';
import { GrainId } from '../../index.ts';
import { assert } from '../../util/assert.ts';
import { halves, highHalf, lowHalf, wide } from '../../util/bigint-halves.ts';
import { getU16, getU32, getU64, setU16, setU32, setU64 } from '../../util/little-endian.ts';
import type { NodeStore } from './node-store.ts';

/** Magic number: no root begins with it, nor a node that a vault leaves unchanged. */
const magic = Uint8Array.of(0xff, 0x70, 0x76);
const formOffset = 3;
const tagNumberOffset = 4;
const roomOffset = 12;
const tagBytesOffset = 14;
export const headBytes = 16;
export const roomMax = 0xffff;

/** `whole`: the body is sealed in one piece. `framed`: in frames. */
export type PushedForm = 'whole' | 'framed';
const forms: readonly (PushedForm | undefined)[] = [undefined, 'whole', 'framed'];

/** Offsets in a tag before it is sealed. The GrainId is at 0. */
const bodyNumberOffset = 8;
const lengthOffset = 16;
const frameBytesOffset = 24;
const addedBytesOffset = 28;
export const plainTagBytes: Readonly<Record<PushedForm, number>> = { whole: 16, framed: 32 };

/** How the bytes of a value are cut into frames. */
export interface FrameLayout {
  /** Plain bytes of the value. */
  readonly length: number;
  /** Plain bytes of each frame but the last. */
  readonly frameBytes: number;
  /** Bytes that sealing adds to each frame. */
  readonly addedBytes: number;
}

/** The facts in a tag, beside the GrainId. */
export interface PushedTag {
  /** The number that the body or the frames are sealed under. */
  readonly number: number;
  /** Undefined for a value that is sealed whole. */
  readonly frames: FrameLayout | undefined;
}

export class TagTooLong extends Error {
  readonly tagBytes: number;

  constructor(tagBytes: number) {
    super('the sealed tag needs more room');
    this.tagBytes = tagBytes;
  }
}

/** Seals the tag for `id`, and writes it behind the head. Throws `VARVE_VAULT`, `TagTooLong`. */
export function writeHead(
  nodes: NodeStore,
  target: Uint8Array,
  room: number,
  { id, number, frames }: PushedTag & { readonly id: GrainId },
): void {
  assert(room >= 0 && room <= roomMax, 'the room of a tag fits in its field');
  const form: PushedForm = frames === undefined ? 'whole' : 'framed';
  const plain = new Uint8Array(plainTagBytes[form]);
  wide[0] = id;
  setU32(plain, 0, halves[lowHalf] as number);
  setU32(plain, 4, halves[highHalf] as number);
  setU64(plain, bodyNumberOffset, number);
  if (frames !== undefined) {
    setU64(plain, lengthOffset, frames.length);
    setU32(plain, frameBytesOffset, frames.frameBytes);
    setU32(plain, addedBytesOffset, frames.addedBytes);
  }
  // Never seal two tags under one number, also not after one that had too little room.
  const tagNumber = nodes.takeSeal();
  const tag = nodes.seal('tag', tagNumber, plain);
  if (tag.length > room) throw new TagTooLong(tag.length);
  target.set(magic);
  target[formOffset] = forms.indexOf(form);
  setU64(target, tagNumberOffset, tagNumber);
  setU16(target, roomOffset, room);
  setU16(target, tagBytesOffset, tag.length);
  target.set(tag, headBytes);
}

/** Offset of the body in a stored value, from its first bytes. Throws `VARVE_VAULT`. */
export function bodyOffsetOf(id: GrainId, stored: Uint8Array): number {
  if (stored.length < headBytes) throw notPushed(id);
  for (const [at, byte] of magic.entries()) if (stored[at] !== byte) throw notPushed(id);
  if (forms[stored[formOffset] as number] === undefined) throw notPushed(id);
  return headBytes + getU16(stored, roomOffset);
}

/**
 * The tag of a value, from its bytes before the body. Requires: `bodyOffsetOf` accepts them. Throws
 * `VARVE_VAULT`.
 */
export function readTag(nodes: NodeStore, id: GrainId, stored: Uint8Array): PushedTag {
  const bodyOffset = bodyOffsetOf(id, stored);
  const tagBytes = getU16(stored, tagBytesOffset);
  if (headBytes + tagBytes > bodyOffset || bodyOffset > stored.length) throw notPushed(id);
  const padding = stored.subarray(headBytes + tagBytes, bodyOffset);
  if (padding.some((byte) => byte !== 0)) throw notPushed(id);
  const sealedTag = stored.subarray(headBytes, headBytes + tagBytes);
  const tag = nodes.open('tag', getU64(stored, tagNumberOffset), sealedTag);
  const form = forms[stored[formOffset] as number] as PushedForm;
  wide[0] = id;
  const isOf =
    tag.length === plainTagBytes[form] &&
    getU32(tag, 0) === halves[lowHalf] &&
    getU32(tag, 4) === halves[highHalf];
  if (!isOf) throw notPushed(id);
  const number = getU64(tag, bodyNumberOffset);
  if (form === 'whole') return { number, frames: undefined };
  const frames = {
    length: getU64(tag, lengthOffset),
    frameBytes: getU32(tag, frameBytesOffset),
    addedBytes: getU32(tag, addedBytesOffset),
  };
  return { number, frames };
}

export function notPushed(id: GrainId): VarveError {
  const message =
    `the value ${GrainId.format(id)} was not pushed under this id by a transaction or session of ` +
    'this forest: it belongs to the forest or the store itself, or it was tampered with';
  return new VarveError('VARVE_VAULT', message, { grainId: id });
}
