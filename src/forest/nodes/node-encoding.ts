/**
 * Encodes tree nodes as values and decodes them.
 *
 * Invariant: `decodeNode(encodeNode(node))` has the same entries or children. Bytes that are not a
 * node of the shape are `VARVE_CORRUPT`, never a wrong node. If all keys or all values of a tree
 * have one length, these lengths are not stored. The layout is in `spec/forest.md`.
 */

import { corrupt } from '../../errors.ts';
import { assert, checks } from '../../util/assert.ts';
import { ByteReader } from '../../util/cursor.ts';
import {
  getU16,
  getU32,
  getU64,
  setU32,
  setU64,
  setVarint,
  varintBytesMax,
} from '../../util/little-endian.ts';
import { type NodeEntries, newEntries } from './entries.ts';
import { FixedEntries } from './fixed-entries.ts';
import type { TreeShape } from './node.ts';
import {
  Branch,
  Leaf,
  longBit,
  longRefBytes,
  NodeRef,
  nodeHeadBytes,
  type TreeNode,
} from './node.ts';
import { checkNode } from './node-check.ts';
import { SortedEntries } from './sorted-entries.ts';

const flagParts = 1;
const levelMax = 255;

/** Encodes nodes in memory that it reuses. */
export class NodeWriter {
  #bytes = new Uint8Array(0);
  #at = 0;

  /** The node as bytes, valid until the next call. */
  write(node: TreeNode, shape: TreeShape): Uint8Array {
    this.#reserve(node);
    const bytes = this.#bytes;
    bytes.fill(0, 0, nodeHeadBytes);
    assert(node.level <= levelMax, 'the level of a node fits in a byte');
    assert(node.total > 0, 'a stored node has entries');
    if (checks.strict) checkNode(node);
    bytes[0] = node.level;
    setU32(bytes, 4, node.leaf ? node.entries.count : node.refs.length);
    this.#at = nodeHeadBytes;
    if (node.leaf) this.#leaf(node, shape);
    else this.#branch(node, shape);
    assert(this.#at <= bytes.length, 'the bytes of a node fit in the memory for them');
    return bytes.subarray(0, this.#at);
  }

  #reserve(node: TreeNode): void {
    const entries = node.leaf ? node.entries : node.separators;
    let bytesMax = nodeHeadBytes + entries.live + entries.count * 2 * varintBytesMax;
    if (!node.leaf) {
      bytesMax += node.refs.length * 4 * varintBytesMax;
      for (const part of node.storedParts) bytesMax += part?.length ?? 0;
    }
    if (this.#bytes.length < bytesMax) this.#bytes = new Uint8Array(bytesMax * 2);
  }

  #leaf({ entries }: Leaf, { keyBytes, valueBytes }: TreeShape): void {
    const bytes = this.#bytes;
    let at = this.#at;
    const hasLengths = keyBytes < 0 || valueBytes < 0;
    for (let index = 0; hasLengths && index < entries.count; index++) {
      if (keyBytes < 0) at = setVarint(bytes, at, entries.keyBytes(index));
      if (valueBytes < 0) at = setVarint(bytes, at, entries.word(index));
    }
    this.#at = entries.writeTo(bytes, at);
  }

  #branch(branch: Branch, { keyBytes, partBytes, sealed }: TreeShape): void {
    const bytes = this.#bytes;
    const { separators, refs, counts, storedParts } = branch;
    assert(separators.count === refs.length - 1, 'separators lie between children');
    assert(counts.length === refs.length, 'each child has a count');
    if (keyBytes < 0) {
      for (let index = 0; index < separators.count; index++) {
        this.#varint(separators.keyBytes(index));
      }
    }
    this.#at = separators.writeTo(bytes, this.#at);
    if (partBytes >= 0) bytes[1] = flagParts;
    for (let index = 0; index < refs.length; index++) {
      const ref = refs[index] as NodeRef;
      assert(ref.stored, 'a child is stored before its branch');
      assert((counts[index] as number) > 0, 'a stored child has entries');
      setU32(bytes, this.#at, ref.low);
      setU32(bytes, this.#at + 4, ref.high);
      if (sealed) setU64(bytes, this.#at + 8, ref.seal);
      this.#at += sealed ? 16 : 8;
      this.#varint((counts[index] as number) * 2 + (branch.isLong(index) ? 1 : 0));
      if (partBytes >= 0) this.#part(storedParts[index]);
    }
  }

  #part(part: Uint8Array | undefined): void {
    if (part === undefined) throw corrupt('a node is stored without its reducer values');
    this.#varint(part.length);
    this.#bytes.set(part, this.#at);
    this.#at += part.length;
  }

  #varint(value: number): void {
    this.#at = setVarint(this.#bytes, this.#at, value);
  }
}

/** A cursor over a node's bytes; its errors have the node's id. */
class NodeReader extends ByteReader {
  readonly #ref: NodeRef;

  constructor(bytes: Uint8Array, ref: NodeRef) {
    super(bytes, 'a node of a tree', undefined, nodeHeadBytes);
    this.#ref = ref;
  }

  override fail(message: string, expected?: unknown, actual?: unknown): never {
    const facts = { grainId: this.#ref.id, expected, actual };
    throw corrupt(`a node of a tree is damaged: ${message}`, facts);
  }
}

/** Decodes a node, which keeps `bytes`. Throws `VARVE_CORRUPT`. */
export function decodeNode(bytes: Uint8Array, ref: NodeRef, shape: TreeShape): TreeNode {
  const reader = new NodeReader(bytes, ref);
  if (bytes.length < nodeHeadBytes) reader.fail('ends too early');
  const level = bytes[0] as number;
  const count = getU32(bytes, 4);
  // No node is empty or has more entries than bytes.
  if (count === 0 || count > bytes.length || getU16(bytes, 2) !== 0)
    reader.fail('its head is wrong');
  const node = level === 0 ? decodeLeaf(reader, count, shape) : decodeBranch(reader, count, shape);
  reader.end();
  if (checks.strict) checkNode(node);
  return node;
}

function decodeLeaf(reader: NodeReader, count: number, shape: TreeShape): Leaf {
  const { keyBytes, valueBytes } = shape;
  const empty = newEntries(keyBytes, valueBytes, shape.memory);
  if (empty instanceof FixedEntries) return new Leaf(0, decodeFixed(reader, count, empty));
  const lengthsEach = (keyBytes < 0 ? 1 : 0) + (valueBytes < 0 ? 1 : 0);
  const lengths = varints(reader, count * lengthsEach);
  const entries = SortedEntries.over(reader.source, count, shape.memory);
  const leaf = new Leaf(0, entries);
  let next = 0;
  for (let index = 0; index < count; index++) {
    const key = keyBytes < 0 ? (lengths[next++] as number) : keyBytes;
    const word = valueBytes < 0 ? (lengths[next++] as number) : valueBytes * 2;
    if ((word & longBit) === 1) {
      leaf.longs += 1;
      if (word !== longRefBytes * 2 + longBit)
        reader.fail('a reference to a long value has a wrong length');
    }
    entries.add(reader.take(key + Math.floor(word / 2)), key, word);
  }
  if (!entries.sealHeads()) reader.fail('its keys do not rise');
  return leaf;
}

/** Takes over the bytes of entries of one length. */
function decodeFixed(reader: NodeReader, count: number, like: FixedEntries): FixedEntries {
  const from = reader.take(count * like.entryBytes(0));
  const entries = FixedEntries.over(reader.source, from, like, count);
  if (!entries.isSorted) reader.fail('its keys do not rise');
  return entries;
}

/** Not `list`: a call for each number would take longer than to read it. */
function varints(reader: NodeReader, count: number): number[] {
  const numbers: number[] = [];
  for (let left = count; left > 0; left--) numbers.push(reader.varint());
  return numbers;
}

function decodeBranch(reader: NodeReader, children: number, shape: TreeShape): Branch {
  const { source: bytes } = reader;
  const branch = new Branch(0, bytes[0] as number, decodeSeparators(reader, children - 1, shape));
  const hasParts = bytes[1] === flagParts;
  if (hasParts !== shape.partBytes >= 0) reader.fail("its reducer values do not match the tree's");
  const longs: number[] = [];
  for (let index = 0; index < children; index++) {
    const from = reader.take(shape.sealed ? 16 : 8);
    const seal = shape.sealed ? getU64(bytes, from + 8) : 0;
    const ref = NodeRef.at(getU32(bytes, from), getU32(bytes, from + 4), seal);
    if (!ref.stored) reader.fail('a child has no id');
    const word = reader.varint();
    if (word < 2 || !Number.isSafeInteger(seal))
      reader.fail('the count or the seal of a child is wrong');
    ref.levelExpected = branch.level - 1;
    ref.totalExpected = Math.floor(word / 2);
    branch.refs.push(ref);
    branch.counts.push(Math.floor(word / 2));
    if (word % 2 === 1) longs.push(index);
    if (!hasParts) continue;
    branch.storedParts.push(reader.bytes(reader.varint()));
  }
  for (const index of longs) branch.setLong(index, true);
  return branch;
}

function decodeSeparators(reader: NodeReader, count: number, shape: TreeShape): NodeEntries {
  const empty = newEntries(shape.keyBytes, 0, shape.memory);
  if (empty instanceof FixedEntries) return decodeFixed(reader, count, empty);
  const lengths = varints(reader, count);
  const separators = SortedEntries.over(reader.source, count, shape.memory);
  for (const length of lengths) separators.add(reader.take(length), length, 0);
  if (!separators.sealHeads()) reader.fail('its separators do not rise');
  return separators;
}
