/**
 * Shows the values of a forest field by field, as `spec/forest.md` says that they are read.
 *
 * Invariant: nothing here is the forest's own code. A value that has more or fewer bytes than its
 * fields is an error.
 */

import { GrainId, type Store } from '../src/index.ts';
import { FieldReader } from './field-reader.ts';

export interface Reference {
  readonly count: number;
  readonly id: GrainId | undefined;
}

export interface TreeReferences {
  readonly entries: Reference;
  readonly history: Reference | undefined;
}

/** Lengths that all keys or values of a tree have; undefined where they differ. */
export interface FixedLengths {
  readonly key?: number;
  readonly value?: number;
}

interface Entry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

export class ForestValues {
  readonly #store: Store;
  readonly #parts: string[] = [];

  constructor(store: Store) {
    this.#store = store;
  }

  /** Everything that was shown and said. */
  text(): string {
    return this.#parts.join('\n');
  }

  say(...lines: string[]): void {
    this.#parts.push(...lines);
  }

  get newestRoot(): GrainId {
    return this.#store.embeddedHeader as GrainId;
  }

  #reader(id: GrainId): FieldReader {
    const bytes = this.#store.get(id);
    if (bytes === undefined) throw new Error(`no value ${GrainId.format(id)}`);
    return new FieldReader(bytes);
  }

  #section(title: string, reader: FieldReader): void {
    this.#parts.push('', `### ${title}`, '', '```', ...reader.end(), '```');
  }

  /** A root that has no vault. */
  root(
    title: string,
    id: GrainId,
  ): { catalog: Reference; shares: Reference; earlier: GrainId | undefined } {
    const reader = this.#reader(id);
    rootHead(reader);
    const catalog = reference(reader, 'catalog');
    const shares = reference(reader, 'shares');
    reader.varint('next seal');
    const pending = reader.varint('pending count');
    for (let at = 0; at < pending; at++) reader.id('pending');
    const written = reader.varint('written count');
    for (let at = 0; at < written; at++) reader.id('written');
    const depth = reader.varint('depth');
    const earlier = depth === 0 ? undefined : reader.id('earlier');
    if (depth > 0) reader.varint('earlier, seal number');
    if (depth > 0) reader.varint('listed');
    while (reader.remaining > 0) changes(reader);
    this.#section(`${title}, ${GrainId.format(id)}`, reader);
    return { catalog, shares, earlier };
  }

  /** A root whose body is sealed. */
  sealedRoot(title: string, id: GrainId): void {
    const reader = this.#reader(id);
    rootHead(reader);
    reader.bytes('body, sealed', reader.remaining);
    this.#section(`${title}, ${GrainId.format(id)}`, reader);
  }

  /** Gives the entries. A long value is shown as what names it. */
  leaf(title: string, id: GrainId, fixed: FixedLengths = {}): Entry[] {
    const reader = this.#reader(id);
    const count = nodeHead(reader, 'entries');
    const lengths: { key: number; word: number }[] = [];
    for (let at = 0; at < count; at++) {
      const key = fixed.key ?? reader.varint(`entry ${at}, length of the key`);
      const word = fixed.value === undefined ? reader.varint(`entry ${at}, word`) : fixed.value * 2;
      lengths.push({ key, word });
    }
    const entries = lengths.map(({ key, word }, at) => ({
      key: reader.bytes(`entry ${at}, key`, key),
      value: entryValue(reader, `entry ${at}`, word),
    }));
    this.#section(`${title}, ${GrainId.format(id)}`, reader);
    return entries;
  }

  /** A branch of a tree with fixed keys, with a reducer, and without a vault. */
  branch(title: string, id: GrainId, key: number): void {
    const reader = this.#reader(id);
    const count = nodeHead(reader, 'children');
    for (let at = 0; at < count - 1; at++) reader.bytes(`separator ${at}`, key);
    for (let at = 0; at < count; at++) {
      reader.id(`child ${at}`);
      reader.varint(`child ${at}, twice the entries, plus long`);
      const length = reader.varint(`child ${at}, length of the reducer value`);
      reader.bytes(`child ${at}, reducer value`, length);
    }
    this.#section(`${title}, ${GrainId.format(id)}`, reader);
  }

  record(title: string, bytes: Uint8Array): TreeReferences {
    const reader = new FieldReader(bytes);
    reader.text('key codec');
    reader.text('value codec');
    reader.text('reducer');
    const kind = reader.uint('kind', 1);
    reader.varint('length of every key, plus 1');
    reader.varint('length of every value, plus 1');
    reader.varint('bytes of a reducer value, plus 1');
    const entries = reference(reader, 'entries');
    const history = kind === 1 ? reference(reader, 'history') : undefined;
    if (kind > 0) reader.varint('sequence number');
    this.#section(title, reader);
    return { entries, history };
  }

  /** A pushed value under a vault that leaves short bytes as they are. */
  pushed(title: string, id: GrainId): void {
    const reader = this.#reader(id);
    reader.bytes('magic', 3);
    reader.uint('form', 1);
    reader.uint('seal number of the tag', 8);
    const room = reader.uint('room', 2);
    const tagBytes = reader.uint('bytes of the sealed tag', 2);
    reader.uint('tag: sealed as it is', 1);
    reader.id('tag: this very value');
    reader.uint('tag: seal number of the body', 8);
    reader.bytes('zeros', room - tagBytes);
    reader.uint('body: sealed as it is', 1);
    reader.bytes('body', reader.remaining);
    this.#section(`${title}, ${GrainId.format(id)}`, reader);
  }
}

function rootHead(reader: FieldReader): void {
  reader.bytes('magic', 13);
  reader.uint('version', 1);
  reader.text('name of the vault');
  reader.varint('seal number');
}

/** Gives the number of entries or children. */
function nodeHead(reader: FieldReader, of: string): number {
  reader.uint('level', 1);
  reader.uint('has reducer values', 1);
  reader.uint('zero', 2);
  return reader.uint(of, 4);
}

function entryValue(reader: FieldReader, entry: string, word: number): Uint8Array {
  if (word % 2 === 0) return reader.bytes(`${entry}, value`, word / 2);
  reader.id(`${entry}, long value`);
  reader.uint(`${entry}, seal number`, 8);
  return new Uint8Array();
}

function reference(reader: FieldReader, name: string): Reference {
  const count = reader.varint(`${name}, count`);
  if (count === 0) return { count, id: undefined };
  reader.uint(`${name}, long`, 1);
  const id = reader.id(`${name}, root node`);
  reader.varint(`${name}, seal number`);
  return { count, id };
}

function changes(reader: FieldReader): void {
  reader.text('changes of the tree');
  const logBytes = reader.varint('bytes of the log');
  const rest = reader.remaining - logBytes;
  while (reader.remaining > rest) {
    const word = reader.varint('word of the value, plus 1');
    reader.bytes('key', reader.varint('length of the key'));
    if (word > 0) reader.bytes('value', Math.floor((word - 1) / 2));
  }
}
