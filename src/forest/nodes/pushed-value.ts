/**
 * User values (`Transaction.push`) as a forest with a vault stores them.
 *
 * A reader knows only the GrainId. Therefore the value begins with a sealed tag: the GrainId that
 * it was pushed under, and the number that its body is sealed under.
 *
 * Invariant: a read returns bytes that were pushed under this very GrainId, or throws
 * `VARVE_VAULT`. It does not detect an older value of the same GrainId that an attacker put back.
 * Without a vault the bytes are stored as they are. The layout is in `spec/forest.md`.
 */

import { ownBytes } from '../../codecs/codec.ts';
import { VarveError } from '../../errors.ts';
import { GrainId, type Session } from '../../index.ts';
import { assert } from '../../util/assert.ts';
import { halves, highHalf, lowHalf, wide } from '../../util/bigint-halves.ts';
import { isBytes } from '../../util/bytes.ts';
import { getU16, getU32, getU64, setU16, setU32, setU64 } from '../../util/little-endian.ts';
import type { NodeStore } from './node-store.ts';

/** Magic number and format: no root begins with it, nor a node that a vault leaves unchanged. */
const head = Uint8Array.of(0xff, 0x70, 0x76, 1);
const tagNumberOffset = 4;
const roomOffset = 12;
const tagBytesOffset = 14;
const headBytes = 16;
/** A tag before it is sealed: the GrainId, and the number of the body. */
const plainTagBytes = 16;
const bodyNumberOffset = 8;
/** Room for the sealed tag if the vault does not say how many bytes it adds. */
const roomDefault = 64;
const roomMax = 0xffff;

class TagTooLong extends Error {
  readonly tagBytes: number;

  constructor(tagBytes: number) {
    super('the sealed tag needs more room');
    this.tagBytes = tagBytes;
  }
}

/** Pushes a value through the vault. Throws `VARVE_VAULT`, and as `Session.push`. */
export function pushValue(nodes: NodeStore, session: Session, data: Uint8Array): GrainId {
  const { vault } = nodes;
  // `Session.push` refuses a value that is not bytes.
  if (vault === undefined || !isBytes(data)) return session.push(data);
  const number = nodes.takeSeal();
  const body = nodes.seal('pushed', number, data);
  const room = plainTagBytes + (vault.overheadBytes ?? roomDefault - plainTagBytes);
  // Copied at once: the vault may reuse its memory for the tag.
  let value = new PushedValue(room, body);
  for (;;) {
    try {
      return session.pushWith(value.bytes.length, (id) => value.tagged(nodes, id, number));
    } catch (error) {
      if (!(error instanceof TagTooLong)) throw error;
      if (error.tagBytes > roomMax) throw tagTooLong(vault.name, error);
      value = new PushedValue(error.tagBytes, value.body);
    }
  }
}

/** A value whose tag is sealed last: it needs the value's GrainId. */
class PushedValue {
  readonly bytes: Uint8Array;
  readonly body: Uint8Array;
  readonly #room: number;

  constructor(room: number, body: Uint8Array) {
    assert(room >= 0 && room <= roomMax, 'the room of a tag fits in its field');
    this.#room = room;
    this.bytes = new Uint8Array(headBytes + room + body.length);
    this.body = this.bytes.subarray(headBytes + room);
    this.body.set(body);
    this.bytes.set(head);
  }

  /** The whole value with the tag for `id`. */
  tagged(nodes: NodeStore, id: GrainId, number: number): Uint8Array {
    const { bytes } = this;
    const plain = new Uint8Array(plainTagBytes);
    wide[0] = id;
    setU32(plain, 0, halves[lowHalf] as number);
    setU32(plain, 4, halves[highHalf] as number);
    setU64(plain, bodyNumberOffset, number);
    // Never seal two tags under one number, also not after one that had too little room.
    const tagNumber = nodes.takeSeal();
    const tag = nodes.seal('tag', tagNumber, plain);
    if (tag.length > this.#room) throw new TagTooLong(tag.length);
    setU64(bytes, tagNumberOffset, tagNumber);
    setU16(bytes, roomOffset, this.#room);
    setU16(bytes, tagBytesOffset, tag.length);
    bytes.set(tag, headBytes);
    return bytes;
  }
}

/** The bytes that were pushed, from the stored ones. Throws `VARVE_VAULT`. */
export function openValue(
  nodes: NodeStore,
  id: GrainId,
  stored: Uint8Array<ArrayBuffer> | undefined,
): Uint8Array<ArrayBuffer> | undefined {
  if (nodes.vault === undefined || stored === undefined) return stored;
  if (stored.length < headBytes) throw notPushed(id);
  for (const [at, byte] of head.entries()) if (stored[at] !== byte) throw notPushed(id);
  const room = getU16(stored, roomOffset);
  const tagBytes = getU16(stored, tagBytesOffset);
  const bodyOffset = headBytes + room;
  if (tagBytes > room || bodyOffset > stored.length) throw notPushed(id);
  const padding = stored.subarray(headBytes + tagBytes, bodyOffset);
  if (padding.some((byte) => byte !== 0)) throw notPushed(id);
  const sealedTag = stored.subarray(headBytes, headBytes + tagBytes);
  const tag = nodes.open('tag', getU64(stored, tagNumberOffset), sealedTag);
  wide[0] = id;
  const isOf =
    tag.length === plainTagBytes &&
    getU32(tag, 0) === halves[lowHalf] &&
    getU32(tag, 4) === halves[highHalf];
  if (!isOf) throw notPushed(id);
  const number = getU64(tag, bodyNumberOffset);
  const plain = nodes.open('pushed', number, stored.subarray(bodyOffset));
  // The vault may keep its result, or return a view of its input: copy.
  return ownBytes(plain, 0, plain.length);
}

function tagTooLong(vault: string, cause: TagTooLong): VarveError {
  const sizes = `${plainTagBytes} bytes to ${cause.tagBytes}, and ${roomMax} is the most`;
  const message = `the vault '${vault}' seals a tag of ${sizes}`;
  const facts = { cause, expected: roomMax, actual: cause.tagBytes };
  return new VarveError('VARVE_VAULT', message, facts);
}

function notPushed(id: GrainId): VarveError {
  const message =
    `the value ${GrainId.format(id)} was not pushed under this id by a transaction of this ` +
    'forest: it belongs to the forest or the store itself, or it was tampered with';
  return new VarveError('VARVE_VAULT', message, { grainId: id });
}
