/**
 * User values (`Transaction.push`, `ForestSession.push`) as a forest with a vault stores them.
 *
 * Invariant: a read returns bytes that were pushed under this very GrainId, or throws
 * `VARVE_VAULT`. It does not detect an older value of the same GrainId that an attacker put back.
 * Without a vault the bytes are stored as they are. The layout is in `spec/forest.md`.
 */

import { ownBytes } from '../../codecs/codec.ts';
import { VarveError } from '../../errors.ts';
import type { GrainId, Session } from '../../index.ts';
import { isBytes } from '../../util/bytes.ts';
import { FramedReader } from './framed-value.ts';
import type { NodeStore } from './node-store.ts';
import {
  bodyOffsetOf,
  headBytes,
  plainTagBytes,
  readTag,
  roomMax,
  TagTooLong,
  writeHead,
} from './pushed-head.ts';

/** Room for the sealed tag if the vault does not say how many bytes it adds. */
const roomDefault = 64;

/** Pushes a value through the vault. Throws `VARVE_VAULT`, and as `Session.push`. */
export function pushValue(nodes: NodeStore, session: Session, data: Uint8Array): GrainId {
  // `Session.push` refuses a value that is not bytes.
  if (nodes.vault === undefined || !isBytes(data)) return session.push(data);
  const sealed = new SealedValue(nodes, data);
  for (;;) {
    try {
      return session.pushWith(sealed.length, (id) => sealed.tagged(id));
    } catch (error) {
      sealed.makeRoom(error);
    }
  }
}

/** As `pushValue`, by `Session.pushAsync`. Do not change the bytes until it resolves. */
export async function pushValueAsync(
  nodes: NodeStore,
  session: Session,
  data: Uint8Array,
): Promise<GrainId> {
  if (nodes.vault === undefined || !isBytes(data)) return await session.pushAsync(data);
  const sealed = new SealedValue(nodes, data);
  for (;;) {
    try {
      const { length } = sealed;
      return await session.pushStreamWith((id) => sourceOf(sealed.tagged(id)), { length });
    } catch (error) {
      sealed.makeRoom(error);
    }
  }
}

async function* sourceOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** A value whose body is sealed, and whose tag is sealed last: that needs the value's GrainId. */
class SealedValue {
  readonly #nodes: NodeStore;
  readonly #number: number;
  #room: number;
  #bytes: Uint8Array;

  constructor(nodes: NodeStore, data: Uint8Array) {
    this.#nodes = nodes;
    this.#number = nodes.takeSeal();
    const body = nodes.seal('pushed', this.#number, data);
    this.#room =
      plainTagBytes.whole + (nodes.vault?.overheadBytes ?? roomDefault - plainTagBytes.whole);
    // Copied at once: the vault may reuse its memory for the tag.
    this.#bytes = withRoom(this.#room, body);
  }

  get length(): number {
    return this.#bytes.length;
  }

  /** The whole value with the tag for `id`. Throws `VARVE_VAULT`, `TagTooLong`. */
  tagged(id: GrainId): Uint8Array {
    const tag = { id, number: this.#number, frames: undefined };
    writeHead(this.#nodes, this.#bytes, this.#room, tag);
    return this.#bytes;
  }

  /** Makes room for a tag that was too long. Throws any other error, and `VARVE_VAULT`. */
  makeRoom(error: unknown): void {
    if (!(error instanceof TagTooLong)) throw error;
    if (error.tagBytes > roomMax) throw tagTooLong(this.#nodes.vault?.name, error);
    const body = this.#bytes.subarray(headBytes + this.#room);
    this.#room = error.tagBytes;
    this.#bytes = withRoom(this.#room, body);
  }
}

function withRoom(room: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(headBytes + room + body.length);
  bytes.set(body, headBytes + room);
  return bytes;
}

/** The bytes that were pushed, from the stored ones. Throws `VARVE_VAULT`. */
export function openValue(
  nodes: NodeStore,
  id: GrainId,
  stored: Uint8Array<ArrayBuffer> | undefined,
): Uint8Array<ArrayBuffer> | undefined {
  if (nodes.vault === undefined || stored === undefined) return stored;
  const tag = readTag(nodes, id, stored);
  const body = stored.subarray(bodyOffsetOf(id, stored));
  if (tag.frames !== undefined)
    return openFrames(new FramedReader(nodes, id, tag, body.length), body);
  const plain = nodes.open('pushed', tag.number, body);
  // The vault may keep its result, or return a view of its input: copy.
  return ownBytes(plain, 0, plain.length);
}

function openFrames(reader: FramedReader, body: Uint8Array): Uint8Array<ArrayBuffer> {
  const plain = new Uint8Array(reader.layout.length);
  let at = 0;
  for (const part of reader.openAll(body)) {
    plain.set(part, at);
    at += part.length;
  }
  return plain;
}

function tagTooLong(vault: string | undefined, cause: TagTooLong): VarveError {
  const sizes = `${plainTagBytes.whole} bytes to ${cause.tagBytes}, and ${roomMax} is the most`;
  const message = `the vault '${vault}' seals a tag of ${sizes}`;
  const facts = { cause, expected: roomMax, actual: cause.tagBytes };
  return new VarveError('VARVE_VAULT', message, facts);
}
