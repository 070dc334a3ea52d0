/**
 * Writes the annotated values of a small real forest into `spec/forest.md`, between its markers:
 * `npm run spec`.
 *
 * The values are read by what the spec says, not by the code of the forest, from the embedded
 * header on; a value that has more or fewer bytes than its fields is an error. A test compares the
 * dump with what stands in the spec.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { argv } from 'node:process';
import { pathToFileURL } from 'node:url';
import { codecs, Forest } from '../src/forest/index.ts';
import { GrainId, type Store } from '../src/index.ts';
import { FieldReader } from './field-reader.ts';

const begin = '<!-- forest dump: begin -->\n';
const end = '<!-- forest dump: end -->';

/** The text of the spec with the dump as it is now. */
export async function specWithForest(spec: string): Promise<string> {
  const from = spec.indexOf(begin) + begin.length;
  const to = spec.indexOf(end);
  if (from < begin.length || to < from) throw new Error('the spec has no markers for the forest');
  return `${spec.slice(0, from)}\n${await forestDump()}\n${spec.slice(to)}`;
}

async function forestDump(): Promise<string> {
  const forest = await Forest.inMemory();
  const years = forest.tree('years', { key: codecs.utf8, value: codecs.u32 });
  await forest.transaction((tx) => {
    tx.tree(years).put('ada', 1815);
    tx.tree(years).put('grace', 1906);
  });
  await years.put('alan', 1912);
  const dump = new ForestDump(forest.store);
  const text = dump.text();
  await forest.store.close();
  return text;
}

interface Reference {
  readonly count: number;
  readonly id: GrainId | undefined;
}

class ForestDump {
  readonly #store: Store;
  readonly #parts: string[] = [];

  constructor(store: Store) {
    this.#store = store;
  }

  text(): string {
    this.#parts.push(
      'The code of this repository made the forest, without a vault. One transaction put `ada`, 1815',
      'and `grace`, 1906 into the tree `years` (`codecs.utf8` to `codecs.u32`). The next one put `alan`,',
      '1912: its root logs the change and writes no nodes. Each line is an offset in the value, the bytes',
      'there, the field that they are, and what it says.',
    );
    const newest = this.#root('The newest root', this.#store.embeddedHeader as GrainId);
    const first = this.#root('The earlier root', newest.earlier as GrainId);
    const record = this.#leaf('The only node of the catalog', first.catalog.id as GrainId, -1);
    const tree = this.#record(record[0] as Uint8Array);
    this.#leaf('The only node of the tree', tree.id as GrainId, 4);
    this.#parts.push('', 'The log adds `alan` to it: the tree has three entries.', '');
    return this.#parts.join('\n');
  }

  #reader(id: GrainId): FieldReader {
    const bytes = this.#store.get(id);
    if (bytes === undefined) throw new Error(`no value ${GrainId.format(id)}`);
    return new FieldReader(bytes);
  }

  #section(title: string, reader: FieldReader): void {
    this.#parts.push('', `### ${title}`, '', '```', ...reader.end(), '```');
  }

  #root(title: string, id: GrainId): { catalog: Reference; earlier: GrainId | undefined } {
    const reader = this.#reader(id);
    reader.bytes('magic', 13);
    reader.uint('version', 1);
    reader.text('name of the vault');
    reader.varint('seal number');
    const catalog = reference(reader, 'catalog');
    reference(reader, 'shares');
    reader.varint('next seal');
    const pending = reader.varint('pending count');
    for (let at = 0; at < pending; at++) reader.id('pending');
    const depth = reader.varint('depth');
    const earlier = depth === 0 ? undefined : reader.id('earlier');
    if (depth > 0) reader.varint('earlier, seal number');
    while (reader.remaining > 0) changes(reader);
    this.#section(`${title}, ${GrainId.format(id)}`, reader);
    return { catalog, earlier };
  }

  /** Gives the values. `valueBytes`: the length of all of them, or -1. */
  #leaf(title: string, id: GrainId, valueBytes: number): Uint8Array[] {
    const reader = this.#reader(id);
    reader.uint('level', 1);
    reader.uint('has reducer values', 1);
    reader.uint('zero', 2);
    const count = reader.uint('entries', 4);
    const lengths: [key: number, value: number][] = [];
    for (let at = 0; at < count; at++) {
      const key = reader.varint(`entry ${at}, length of the key`);
      const word = valueBytes < 0 ? reader.varint(`entry ${at}, word`) : valueBytes * 2;
      lengths.push([key, Math.floor(word / 2)]);
    }
    const values = lengths.map(([key, value], at) => {
      reader.bytes(`entry ${at}, key`, key);
      return reader.bytes(`entry ${at}, value`, value);
    });
    this.#section(`${title}, ${GrainId.format(id)}`, reader);
    return values;
  }

  #record(bytes: Uint8Array): Reference {
    const reader = new FieldReader(bytes);
    reader.text('key codec');
    reader.text('value codec');
    reader.text('reducer');
    reader.uint('versioned', 1);
    reader.varint('length of every key, plus 1');
    reader.varint('length of every value, plus 1');
    reader.varint('bytes of a reducer value, plus 1');
    const entries = reference(reader, 'entries');
    this.#section('The record of the tree, which is the value in that node', reader);
    return entries;
  }
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
    const told = reader.varint('word of the value, plus 1');
    reader.bytes('key', reader.varint('length of the key'));
    if (told > 0) reader.bytes('value', Math.floor((told - 1) / 2));
  }
}

const [, script, path] = argv;
if (script !== undefined && import.meta.url === pathToFileURL(script).href) {
  if (path === undefined) throw new Error('usage: forest-dump <the spec>');
  const spec = readFileSync(path, 'utf8');
  writeFileSync(path, await specWithForest(spec));
}
